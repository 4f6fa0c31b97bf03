import { z } from 'zod'
import { type EventSchemas, field } from './events.ts'
import type { Event } from './provider.ts'

const name = field.ownWords.describe('What the provider calls itself.')

/** How provider events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  ProviderRegistered: {
    version: 1,
    schema: z
      .object({
        wallet: field.wallet.describe('Who it is.'),
        name,
        registeredAt: field.time.describe('When it became a provider.'),
      })
      .describe('A wallet became a provider and may list GPUs.'),
  },
  ProviderRenamed: { version: 1, schema: z.object({ name }).describe('A provider changed its name.') },
}
