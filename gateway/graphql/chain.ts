import type { ChainDescription } from '../../infra/chain/port.ts'
import { builder } from './builder.ts'

const Chain = builder.objectRef<ChainDescription>('Chain').implement({
  description:
    'What a wallet needs for a deposit: approve the token for the marketplace, then call deposit of the marketplace.',
  fields: (t) => ({
    chainId: t.expose('chainId', { type: 'SafeInt' }),
    rpcUrl: t.exposeString('rpcUrl'),
    token: t.exposeString('token', { description: 'The address of the ERC-20 token.' }),
    marketplace: t.exposeString('marketplace', { description: 'The address of the contract that takes deposits.' }),
    asset: t.exposeString('asset', { description: 'The asset in which a deposit is credited.' }),
  }),
})

builder.queryField('chain', (t) => t.field({ type: Chain, resolve: (_, _arguments, { services }) => services.chain }))

builder.queryField('head', (t) =>
  t.field({
    type: 'Position',
    description: 'The last position of the log. Passed as atLeast, it makes a query see all events until now.',
    resolve: (_, _arguments, { services }) => services.store.head(),
  }),
)
