import { z } from 'zod'
import { type EventSchemas, field } from './events.ts'
import type { Event } from './provider.ts'

const name = field.userText.describe('The name that the provider chose.')

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
