import { Failure } from '../domain/errors.ts'
import { gpuKeyOf, gpuNameOf, nearestGpus } from '../domain/gpu-models.ts'
import type { Event } from '../domain/listing.ts'
import type { Money } from '../domain/money.ts'
import { regionMatcher } from '../domain/regions.ts'
import { isStorable } from '../domain/text.ts'
import type { ReadModels } from './database.ts'
import { existing, projection } from './engine/projection.ts'
import { type ListingRow, listingsTable } from './listings.table.ts'
import { isInteger, type Page, type PageRequest, pageOf, readCursor, rowsToRead } from './page.ts'
import { findAll, findByIds, findOne } from './queries.ts'

/** Offers of GPUs. */
export const listings = projection<Event, ListingRow>({
  name: 'listings',
  // Version 1 wrote all reservations of a listing anew with each of them.
  version: 2,
  table: listingsTable,
  key: (_, { id }) => id,
  fold: {
    GpusListed: (_, { type, pricePerGpuHour: { amount, asset }, ...offer }) => ({
      ...offer,
      status: 'open',
      freeGpus: offer.gpuCount,
      reservedBy: [],
      pricePerGpuHour: amount,
      asset,
    }),
    PriceChanged: (row, { pricePerGpuHour }, metadata) => ({
      ...existing(row, metadata),
      pricePerGpuHour: pricePerGpuHour.amount,
    }),
    ListingWithdrawn: (row, _, metadata) => ({ ...existing(row, metadata), status: 'withdrawn' }),
    CapacityReserved: (row, { gpuCount }, metadata) => {
      const listing = existing(row, metadata)
      return { ...listing, freeGpus: listing.freeGpus - gpuCount }
    },
    CapacityRefused: (row) => row,
    CapacityFreed: (row, { gpuCount }, metadata) => {
      const listing = existing(row, metadata)
      return { ...listing, freeGpus: listing.freeGpus + gpuCount }
    },
  },
})

/** Finds listings with one query, in the order of the ids. */
export const findListings = findByIds<ListingRow>('listings.find', (db) => db.selectFrom('Listing').selectAll())

/** Finds one listing. */
export const findListing = findOne(findListings)

/** Resolves to all listings of a provider, withdrawn ones too, that have one of these models and one of these regions,
 *  as they are written. */
export const listingsOf = (
  read: ReadModels,
  provider: string,
  { gpus, regions }: { readonly gpus: readonly string[]; readonly regions: readonly string[] },
): Promise<readonly ListingRow[]> =>
  findAll(read, 'listings.of', (db) =>
    db
      .selectFrom('Listing')
      .selectAll()
      .where('provider', '=', provider)
      .where('gpu', 'in', gpus)
      .where('region', 'in', regions),
  )

/** Resolves to the ids of the first open listings of a provider above `after` and up to `until`, sorted. */
export const openListingsOf = async (
  read: ReadModels,
  provider: string,
  { after, until, first }: { readonly after?: string | undefined; readonly until?: string | undefined; first: number },
): Promise<readonly string[]> => {
  const rows = await read.run('listings.openOf', (db) => {
    let found = db.selectFrom('Listing').select('id').where('provider', '=', provider).where('status', '=', 'open')
    if (after !== undefined) found = found.where('id', '>', after)
    if (until !== undefined) found = found.where('id', '<=', until)
    return found.orderBy('id').limit(first).execute()
  })
  return rows.map(({ id }) => id)
}

/** A search for listings. `gpus` and `regions` are compared as they are written; `onlyFree`: at least `gpuCountMin` GPUs
 *  are free. A maximum price also selects its asset. */
export type ListingSearch = PageRequest & {
  readonly gpus?: readonly string[] | undefined
  readonly gpuCountMin?: number | undefined
  readonly vramMibMin?: number | undefined
  readonly pricePerGpuHourMax?: Money | undefined
  readonly regions?: readonly string[] | undefined
  readonly onlyFree?: boolean | undefined
}

/** Resolves to one page of open listings, the cheapest first. Throws INPUT_INVALID. */
export const searchListings = async (read: ReadModels, search: ListingSearch): Promise<Page<ListingRow>> => {
  const { gpus, gpuCountMin = 1, vramMibMin, pricePerGpuHourMax: priceMax, regions, onlyFree } = search
  const [price, id] = readCursor(search.after, [isInteger, isStorable]) ?? []
  if (gpus?.length === 0 || regions?.length === 0) return pageOf([], search, () => [])
  const rows = await read.run('listings.search', (db) => {
    let found = db.selectFrom('Listing').selectAll().where('status', '=', 'open')
    if (gpus !== undefined) found = found.where('gpu', 'in', gpus)
    if (vramMibMin !== undefined) found = found.where('vramMib', '>=', vramMibMin)
    if (regions !== undefined) found = found.where('region', 'in', regions)
    if (priceMax) found = found.where('asset', '=', priceMax.asset).where('pricePerGpuHour', '<=', priceMax.amount)
    if (price !== undefined && id !== undefined)
      found = found.where((eb) => eb(eb.refTuple('pricePerGpuHour', 'id'), '>', eb.tuple(BigInt(price), id)))
    return found
      .where(onlyFree ? 'freeGpus' : 'gpuCount', '>=', gpuCountMin)
      .orderBy('pricePerGpuHour')
      .orderBy('id')
      .limit(rowsToRead(search))
      .execute()
  })
  return pageOf(rows, search, (row) => [String(row.pricePerGpuHour), row.id])
}

/** How many different names are looked at; the oldest first, so that later ones cannot take their place. */
const namesMax = 10_000
/** The most names that one call of `gpuModels` resolves to. */
export const gpuModelsMax = 1_000

/** Resolves to the names that GPUs have in listings, as they are written, the oldest first. */
const gpuNames = async (read: ReadModels, status?: ListingRow['status']): Promise<readonly string[]> => {
  const rows = await read.run('listings.gpuModels', (db) => {
    const found = db.selectFrom('Listing').select('gpu')
    return (status ? found.where('status', '=', status) : found)
      .groupBy('gpu')
      .orderBy((eb) => eb.fn.min('listedAt'))
      .limit(namesMax)
      .execute()
  })
  return rows.map(({ gpu }) => gpu)
}

/** Resolves to the models of all GPUs that were ever listed, sorted, each under one name, after a name or from the
 *  first. Throws INPUT_INVALID. */
export const gpuModels = async (
  read: ReadModels,
  { first, after = '' }: { readonly first: number; readonly after?: string | undefined },
): Promise<readonly string[]> => {
  if (first < 1 || first > gpuModelsMax)
    throw new Failure('INPUT_INVALID', { first: String(first), takes: `1 to ${gpuModelsMax}` })
  const models = new Set((await gpuNames(read)).map(gpuNameOf))
  return [...models]
    .filter((name) => name > after)
    .sort()
    .slice(0, first)
}

/** Resolves to the names that open listings have for the model of this name, however it is written. */
export const gpuNamesLike = async (read: ReadModels, gpu: string): Promise<readonly string[]> => {
  const model = gpuKeyOf(gpu)
  return (await gpuNames(read, 'open')).filter((name) => gpuKeyOf(name) === model)
}

/** Resolves to the models that are on offer and have the nearest names to this one, at most `max`. */
export const gpuModelsNear = async (read: ReadModels, gpu: string, max: number): Promise<readonly string[]> =>
  nearestGpus(gpu, await gpuNames(read, 'open'), max)

/** Resolves to the regions of open listings that are what was asked for: a country, a continent, or words of it. */
export const regionsLike = async (read: ReadModels, asked: string): Promise<readonly string[]> => {
  const rows = await read.run('listings.regions', (db) =>
    db
      .selectFrom('Listing')
      .select('region')
      .where('status', '=', 'open')
      .groupBy('region')
      .orderBy((eb) => eb.fn.min('listedAt'))
      .limit(namesMax)
      .execute(),
  )
  return rows.map(({ region }) => region).filter(regionMatcher(asked))
}
