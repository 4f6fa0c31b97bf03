import { z } from 'zod'

import { type EventSchemas, field } from './events.ts'
import type { Event } from './listing.ts'

/** How listing events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  GpusListed: {
    version: 1,
    schema: z.object({
      provider: field.id,
      gpu: field.text,
      gpuCount: field.count,
      vramMib: field.count,
      vcpus: field.count,
      memoryMib: field.count,
      region: field.text,
      pricePerGpuHour: field.money,
      listedAt: field.time,
    }),
  },
  PriceChanged: { version: 1, schema: z.object({ pricePerGpuHour: field.money }) },
  ListingWithdrawn: { version: 1, schema: z.object({}) },
  CapacityReserved: {
    version: 1,
    schema: z.object({
      rental: field.id,
      gpuCount: field.count,
      provider: field.id,
      gpu: field.text,
      pricePerGpuHour: field.money,
    }),
  },
  CapacityRefused: { version: 1, schema: z.object({ rental: field.id, code: field.code }) },
  CapacityFreed: { version: 1, schema: z.object({ rental: field.id, gpuCount: field.count }) },
}
