import { z } from 'zod'

import { type EventSchemas, field } from './events.ts'
import type { Event } from './listing.ts'

const rental = field.id.describe('The rental that asked.')
const provider = field.wallet.describe('Who lists the GPUs.')
const gpu = field.text.describe('The model.')
const pricePerGpuHour = field.money.describe('What one GPU costs per hour.')

/** How listing events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  GpusListed: {
    version: 1,
    schema: z
      .object({
        provider,
        gpu,
        gpuCount: field.gpus.describe('How many are offered.'),
        vramMib: field.mib.describe('Memory of one GPU.'),
        vcpus: field.count.meta({ unit: 'virtual CPUs', description: 'Of the machine.' }),
        memoryMib: field.mib.describe('Memory of the machine.'),
        region: field.text.describe('Where the machine stands.'),
        pricePerGpuHour,
        listedAt: field.time.describe('When it was listed.'),
      })
      .describe('A provider offered GPUs for rent.'),
  },
  PriceChanged: {
    version: 1,
    schema: z
      .object({ pricePerGpuHour })
      .describe('The price for rentals from now on changed; running ones keep theirs.'),
  },
  ListingWithdrawn: {
    version: 1,
    schema: z.object({}).describe('The offer was taken back; running rentals go on to their end.'),
  },
  CapacityReserved: {
    version: 1,
    schema: z
      .object({
        rental,
        gpuCount: field.gpus.describe('How many it got.'),
        provider,
        gpu,
        pricePerGpuHour,
      })
      .describe('GPUs were set aside for a rental, at the price of that moment.'),
  },
  CapacityRefused: {
    version: 1,
    schema: z
      .object({ rental, code: field.code.describe('Why it got none.') })
      .describe('GPUs could not be set aside for a rental; nothing changed.'),
  },
  CapacityFreed: {
    version: 1,
    schema: z
      .object({ rental, gpuCount: field.gpus.describe('How many came free.') })
      .describe('The GPUs of a rental can be rented again.'),
  },
}
