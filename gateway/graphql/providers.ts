import { Failure } from '../../domain/errors.ts'
import type { Command } from '../../domain/provider.ts'
import { findProvider } from '../../projections/providers.ts'
import { builder } from './builder.ts'
import { type Context, reachPosition } from './context.ts'
import { dispatch } from './dispatch.ts'
import { Provider } from './nodes.ts'
import { atLeastArgument } from './pages.ts'
import { nodePayloadOf } from './payloads.ts'

// The node

Provider.implement({
  description: 'A wallet that lists GPUs.',
  fields: (t) => ({
    id: t.exposeID('id', { description: 'The wallet, in lower case.' }),
    name: t.exposeString('name'),
    registeredAt: t.expose('registeredAt', { type: 'DateTime' }),
    position: t.expose('position', { type: 'Position', description: 'The event that last changed it.' }),
  }),
})

// Query

builder.queryField('provider', (t) =>
  t.field({
    type: Provider,
    nullable: true,
    description: 'Fails with PROVIDER_NOT_REGISTERED.',
    args: { id: t.arg.id({ required: true, description: 'A wallet.' }), ...atLeastArgument },
    resolve: async (_, { id, atLeast }, context, info) => {
      await reachPosition(context, atLeast, info)
      const provider = await findProvider(context.services.read, id.toLowerCase())
      if (!provider) throw new Failure('PROVIDER_NOT_REGISTERED', { wallet: id })
      return provider
    },
  }),
)

// Mutations

/** Dispatches a command to the provider that the signed-in wallet is. */
const dispatchToProvider = (context: Context, commandFor: (wallet: string, time: string) => Command) =>
  dispatch(context, 'provider', context.wallet ?? '', commandFor)

const RegisterProviderInput = builder.inputType('RegisterProviderInput', {
  fields: (t) => ({ name: t.string({ required: true }) }),
})

builder.mutationField('registerProvider', (t) =>
  t.field({
    type: nodePayloadOf('RegisterProvider', 'provider', Provider, findProvider),
    description: 'Makes the viewer a provider. Refuses PROVIDER_ALREADY_REGISTERED.',
    args: { input: t.arg({ type: RegisterProviderInput, required: true }) },
    resolve: (_, { input: { name } }, context) =>
      dispatchToProvider(context, (wallet, registeredAt) => ({ type: 'RegisterProvider', wallet, name, registeredAt })),
  }),
)

const RenameProviderInput = builder.inputType('RenameProviderInput', {
  fields: (t) => ({ name: t.string({ required: true }) }),
})

builder.mutationField('renameProvider', (t) =>
  t.field({
    type: nodePayloadOf('RenameProvider', 'provider', Provider, findProvider),
    description: 'Changes the name of the viewer as a provider. Refuses PROVIDER_NOT_REGISTERED.',
    args: { input: t.arg({ type: RenameProviderInput, required: true }) },
    resolve: (_, { input: { name } }, context) => dispatchToProvider(context, () => ({ type: 'RenameProvider', name })),
  }),
)
