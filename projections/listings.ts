import type { Event } from '../domain/listing.ts'
import type { Money } from '../domain/money.ts'
import type { ReadModels } from './database.ts'
import { existing, projection } from './engine/projection.ts'
import { type ListingRow, listingsTable } from './listings.table.ts'
import { isInteger, isText, type Page, type PageRequest, pageOf, readCursor, rowsToRead } from './page.ts'
import { findByIds, findOne } from './queries.ts'

/** Offers of GPUs. */
export const listings = projection<Event, ListingRow>({
  name: 'listings',
  version: 1,
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
    CapacityReserved: (row, { rental, gpuCount }, metadata) => {
      const listing = existing(row, metadata)
      const reservedBy = [...listing.reservedBy, { rental, gpuCount }]
      return { ...listing, reservedBy, freeGpus: listing.freeGpus - gpuCount }
    },
    CapacityRefused: (row) => row,
    CapacityFreed: (row, { rental, gpuCount }, metadata) => {
      const listing = existing(row, metadata)
      const reservedBy = listing.reservedBy.filter((reservation) => reservation.rental !== rental)
      return { ...listing, reservedBy, freeGpus: listing.freeGpus + gpuCount }
    },
  },
})

/** Finds listings with one query, in the order of the ids. */
export const findListings = findByIds<ListingRow>('listings.find', (db) => db.selectFrom('Listing').selectAll())

/** Finds one listing. */
export const findListing = findOne(findListings)

/** Resolves to all listings of a provider, withdrawn ones too, that have one of these models and one of these regions,
 *  as they are written. */
export const listingsOf = async (
  read: ReadModels,
  provider: string,
  { gpus, regions }: { readonly gpus: readonly string[]; readonly regions: readonly string[] },
): Promise<readonly ListingRow[]> => {
  const rows: ListingRow[] = []
  for (let page: ListingRow[] | undefined; page === undefined || page.length === rowsAtOnce; ) {
    const after = rows.at(-1)?.id ?? ''
    page = await read.run('listings.of', (db) =>
      db
        .selectFrom('Listing')
        .selectAll()
        .where('provider', '=', provider)
        .where('gpu', 'in', gpus)
        .where('region', 'in', regions)
        .where('id', '>', after)
        .orderBy('id')
        .limit(rowsAtOnce)
        .execute(),
    )
    rows.push(...page)
  }
  return rows
}
const rowsAtOnce = 1_000

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

/** A search for listings. `gpu` is compared without case; `onlyFree`: at least `gpuCountMin` GPUs are free. A maximum
 *  price also selects its asset. */
export type ListingSearch = PageRequest & {
  readonly gpu?: string | undefined
  readonly gpuCountMin?: number | undefined
  readonly vramMibMin?: number | undefined
  readonly pricePerGpuHourMax?: Money | undefined
  readonly region?: string | undefined
  readonly onlyFree?: boolean | undefined
}

/** Resolves to one page of open listings, the cheapest first. Throws INPUT_INVALID. */
export const searchListings = async (read: ReadModels, search: ListingSearch): Promise<Page<ListingRow>> => {
  const { gpu, gpuCountMin = 1, vramMibMin, pricePerGpuHourMax: priceMax, region, onlyFree } = search
  const [price, id] = readCursor(search.after, [isInteger, isText]) ?? []
  const rows = await read.run('listings.search', (db) => {
    let found = db.selectFrom('Listing').selectAll().where('status', '=', 'open')
    if (gpu !== undefined) found = found.where((eb) => eb(eb.fn('lower', ['gpu']), '=', gpu.toLowerCase()))
    if (vramMibMin !== undefined) found = found.where('vramMib', '>=', vramMibMin)
    if (region !== undefined)
      found = found.where((eb) =>
        eb(eb.fn('strpos', [eb.fn('lower', ['region']), eb.val(region.toLowerCase())]), '>', 0),
      )
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

/** Resolves to the names of all GPUs that were ever listed. */
export const gpuModels = async (read: ReadModels): Promise<readonly string[]> => {
  const rows = await read.run('listings.gpuModels', (db) =>
    db.selectFrom('Listing').select('gpu').distinct().orderBy('gpu').execute(),
  )
  return rows.map(({ gpu }) => gpu)
}
