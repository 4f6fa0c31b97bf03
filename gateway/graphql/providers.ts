import { userActor } from '../../commands/actor.ts'
import { requestEnvelope } from '../../commands/execute.ts'
import { newId } from '../../commands/ids.ts'
import { Failure, isRefusal, refuse } from '../../domain/errors.ts'
import type { Command } from '../../domain/provider.ts'
import { findProvider } from '../../projections/providers.ts'
import { builder } from './builder.ts'
import { type Context, reach } from './context.ts'
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

// Mutations

/** Asks for something in the name of the provider that the wallet is. */
const tell = async (
  { services: { commands, store, now }, wallet }: Context,
  command: (wallet: string, at: string) => Command,
) => {
  if (wallet === undefined) return refuse('NOT_SIGNED_IN')
  const time = now()
  const envelope = requestEnvelope(newId(), userActor(wallet), time)
  const answer = await commands.execute('provider', wallet, command(wallet, time), envelope)
  if (isRefusal(answer)) return answer
  return { id: wallet, position: answer.position ?? (await store.head()) }
}

const RegisterProviderInput = builder.inputType('RegisterProviderInput', {
  fields: (t) => ({ name: t.string({ required: true }) }),
})

builder.mutationField('registerProvider', (t) =>
  t.field({
    type: nodePayloadOf('RegisterProvider', 'provider', Provider, findProvider),
    description: 'Makes the viewer a provider. Refuses PROVIDER_ALREADY_REGISTERED.',
    args: { input: t.arg({ type: RegisterProviderInput, required: true }) },
    resolve: (_, { input: { name } }, context) =>
      tell(context, (wallet, registeredAt) => ({ type: 'RegisterProvider', wallet, name, registeredAt })),
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
    resolve: async (_, { input: { name } }, context) => {
      const answer = await tell(context, () => ({ type: 'RenameProvider', name }))
      // A wallet that is no provider owns none: that is said by name.
      return isRefusal(answer) && answer.refused === 'NOT_YOURS' ? refuse('PROVIDER_NOT_REGISTERED') : answer
    },
  }),
)
