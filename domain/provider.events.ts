import { z } from 'zod'
import { type CommandFields, type EventSchemas, field } from './events.ts'
import { type Command, type Event, nameCharactersMax } from './provider.ts'

const name = field.userText.meta({
  description: 'The name that the provider chose.',
  limit: { charactersMin: 1, charactersMax: nameCharactersMax },
})

/** The fields of commands, whose limits count before a command is decided. */
export const commandFields: CommandFields<Command> = { wallet: field.wallet, name, registeredAt: field.time }

/** How provider events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  ProviderRegistered: {
    version: 1,
    schema: z
      .object({
        wallet: field.wallet.describe('The wallet of the provider.'),
        name,
        registeredAt: field.time.describe('When the provider was registered.'),
      })
      .describe('A wallet was registered as a provider and may list GPUs.'),
  },
  ProviderRenamed: { version: 1, schema: z.object({ name }).describe('A provider changed its name.') },
}
