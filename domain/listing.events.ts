import { z } from 'zod'

import { type CommandFields, type EventSchemas, field } from './events.ts'
import type { Command, Event } from './listing.ts'

const rental = field.id.describe('The rental that requested the GPUs.')
const provider = field.wallet.describe('The provider that lists the GPUs.')
const gpu = field.text.describe('The model of the GPUs.')
const pricePerGpuHour = field.price.describe('The price of one GPU per hour.')
const gpuCount = field.gpus
const { mib: vramMib, mib: memoryMib, count: vcpus, text: region, time } = field

/** The fields of commands, whose limits count before a command is decided. */
export const commandFields: CommandFields<Command> = {
  provider,
  gpu,
  gpuCount,
  vramMib,
  vcpus,
  memoryMib,
  region,
  pricePerGpuHour,
  maxPricePerGpuHour: field.price,
  rental,
  listedAt: time,
  at: time,
  notAfter: time,
}

/** How listing events are stored. A changed shape is a new version with an upcast from the old one. */
export const schemas: EventSchemas<Event> = {
  GpusListed: {
    version: 1,
    schema: z
      .object({
        provider,
        gpu,
        gpuCount: gpuCount.describe('The number of GPUs on offer.'),
        vramMib: vramMib.describe('Memory of one GPU.'),
        vcpus: vcpus.meta({ unit: 'virtual CPUs', description: 'Virtual CPUs of the machine.' }),
        memoryMib: memoryMib.describe('Memory of the machine.'),
        region: region.describe('Where the machine is.'),
        pricePerGpuHour,
        listedAt: time.describe('When the GPUs were listed.'),
      })
      .describe('A provider offered GPUs for rent.'),
  },
  PriceChanged: {
    version: 1,
    schema: z
      .object({ pricePerGpuHour })
      .describe('The price changed for later rentals; running rentals keep their price.'),
  },
  ListingWithdrawn: {
    version: 1,
    schema: z.object({}).describe('The listing was withdrawn; running rentals continue to their end.'),
  },
  CapacityReserved: {
    version: 1,
    schema: z
      .object({
        rental,
        gpuCount: gpuCount.describe('The number of reserved GPUs.'),
        provider,
        gpu,
        pricePerGpuHour,
      })
      .describe('GPUs were reserved for a rental, at the price of that moment.'),
  },
  CapacityRefused: {
    version: 1,
    schema: z
      .object({ rental, code: field.code.describe('Why the reservation was refused.') })
      .describe('GPUs could not be reserved for a rental; nothing else changed.'),
  },
  CapacityFreed: {
    version: 1,
    schema: z
      .object({ rental, gpuCount: gpuCount.describe('The number of freed GPUs.') })
      .describe('The GPUs of a rental became free again.'),
  },
}
