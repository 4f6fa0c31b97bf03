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
    /** What listings are found by (domain/gpu-models.ts, domain/regions.ts): the key and the shown name of the model, and
     *  the tags of the region. Null if an earlier version wrote the row, until it is built anew. */
    gpuKey: key().strictNullable(),
    gpuModel: key().strictNullable(),
    regionTags: p.array().columnType('text[]').$type<readonly string[]>().strictNullable(),
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
    { properties: ['pricePerGpuHour', 'id'], where: "status = 'open'" },
    { properties: ['gpuKey', 'pricePerGpuHour', 'id'], where: "status = 'open'" },
    { properties: ['regionTags'], type: 'gin', where: "status = 'open'" },
    { properties: ['gpuModel'] },
    // What fits is found in this order; what does not, and what a provider has besides, is passed over without its row.
    {
      name: 'listings_offers_index',
      properties: ['gpuKey', 'asset', 'pricePerGpuHour', 'freeGpus', 'id', 'gpuCount', 'vramMib', 'provider'],
      where: "status = 'open'",
    },
  ],
})
export type ListingRow = InferEntity<typeof listingsTable>
