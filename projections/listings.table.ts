import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { Asset } from '../domain/money.ts'
import { amount, key, moment, readSchema, stamps } from './engine/table.ts'

/** Offers of GPUs, with the number of free ones. The price is in minor units of `asset`, for one GPU and hour. */
export const listingsTable = defineEntity({
  name: 'Listing',
  tableName: 'listings',
  schema: readSchema,
  properties: {
    id: key().primary(),
    provider: key().index(),
    status: p.text().$type<'open' | 'withdrawn'>(),
    gpu: p.text(),
    gpuCount: p.integer(),
    freeGpus: p.integer(),
    /** Empty since version 2, and a column only for version 1: who has reserved GPUs is in the rentals. */
    reservedBy: p.json<readonly []>(),
    vramMib: p.integer(),
    vcpus: p.integer(),
    memoryMib: p.integer(),
    region: p.text(),
    pricePerGpuHour: amount(),
    asset: p.text().$type<Asset>(),
    listedAt: moment(),
    ...stamps(),
  },
  indexes: [
    { properties: ['pricePerGpuHour', 'id'] },
    { properties: ['gpu'] },
    // What fits is found in this order, and what does not is passed over without its row.
    {
      name: 'listings_offers_index',
      properties: ['status', 'gpu', 'asset', 'pricePerGpuHour', 'freeGpus', 'id', 'gpuCount', 'vramMib', 'region'],
    },
  ],
})
export type ListingRow = InferEntity<typeof listingsTable>
