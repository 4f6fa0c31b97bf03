import type { ChainDescription } from '../../infra/chain/port.ts'
import { builder } from './builder.ts'

const Chain = builder.objectRef<ChainDescription>('Chain').implement({
  description: 'What a wallet needs to know to pay in: approve the token for the marketplace, then call its deposit.',
  fields: (t) => ({
    chainId: t.exposeInt('chainId'),
    rpcUrl: t.exposeString('rpcUrl'),
    token: t.exposeString('token', { description: 'The address of the ERC-20 token.' }),
    marketplace: t.exposeString('marketplace', { description: 'The address of the contract that takes deposits.' }),
    asset: t.exposeString('asset', { description: 'What a deposit is credited as.' }),
  }),
})

builder.queryField('chain', (t) => t.field({ type: Chain, resolve: (_, _arguments, { services }) => services.chain }))

builder.queryField('head', (t) =>
  t.field({
    type: 'Position',
    description: 'The last position of the log. With atLeast, a query sees all that happened until now.',
    resolve: (_, _arguments, { services }) => services.store.head(),
  }),
)
