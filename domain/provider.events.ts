import { z } from 'zod'
import { type EventSchemas, field } from './events.ts'
import type { Event } from './provider.ts'

/** How provider events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  ProviderRegistered: {
    version: 1,
    schema: z.object({ wallet: field.id, name: field.text, registeredAt: field.time }),
  },
  ProviderRenamed: { version: 1, schema: z.object({ name: field.text }) },
}
