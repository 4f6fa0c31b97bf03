import { userActor } from '../../commands/actor.ts'
import { newId } from '../../commands/ids.ts'
import { Failure, isRefusal, refuse } from '../../domain/errors.ts'
import { findProvider } from '../../projections/providers.ts'
import { builder } from './builder.ts'
import { reach } from './context.ts'
import { Provider } from './nodes.ts'
import { atLeastArgument } from './pages.ts'
import { nodePayloadOf } from './payloads.ts'

// The node

Provider.implement({
  description: 'Someone who lists GPUs.',
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
    resolve: async (_, { id, atLeast }, context) => {
      await reach(context, atLeast)
      const provider = await findProvider(context.services.read, id.toLowerCase())
      if (!provider) throw new Failure('PROVIDER_NOT_REGISTERED', { wallet: id })
      return provider
    },
  }),
)

// Mutation

const RegisterProviderInput = builder.inputType('RegisterProviderInput', {
  fields: (t) => ({ name: t.string({ required: true }) }),
})

builder.mutationField('registerProvider', (t) =>
  t.field({
    type: nodePayloadOf('RegisterProvider', 'provider', Provider, findProvider),
    description: 'Makes the viewer a provider. Refuses PROVIDER_ALREADY_REGISTERED.',
    args: { input: t.arg({ type: RegisterProviderInput, required: true }) },
    resolve: async (_, { input: { name } }, { services: { commands, store, now }, wallet }) => {
      if (wallet === undefined) return refuse('NOT_SIGNED_IN')
      const commandId = newId()
      const registeredAt = now()
      const answer = await commands.execute(
        'provider',
        wallet,
        { type: 'RegisterProvider', wallet, name, registeredAt },
        { commandId, correlationId: commandId, causationId: commandId, actor: userActor(wallet), time: registeredAt },
      )
      if (isRefusal(answer)) return answer
      return { id: wallet, position: answer.position ?? (await store.head()) }
    },
  }),
)
