import { Failure } from '../domain/errors.ts'
import { gpuKeyOf, gpuNameOf, knownGpuKeys, nearestGpus } from '../domain/gpu-models.ts'
import type { Event } from '../domain/listing.ts'
import type { Money } from '../domain/money.ts'
import { regionQuestionOf, regionTagsOf } from '../domain/regions.ts'
import { isStorable } from '../domain/text.ts'
import type { ReadDatabase, ReadModels } from './database.ts'
import { existing, projection } from './engine/projection.ts'
import { type ListingRow, listingsTable } from './listings.table.ts'
import { isInteger, type Page, type PageRequest, pageOf, readCursor, rowsToRead } from './page.ts'
import { findAll, findByIds, findOne } from './queries.ts'

/** Offers of GPUs. */
export const listings = projection<Event, ListingRow>({
  name: 'listings',
  // Version 1 wrote all reservations of a listing anew with each of them; 2 had nothing that a name is found by.
  version: 3,
  table: listingsTable,
  key: (_, { id }) => id,
  fold: {
    GpusListed: (_, { type, pricePerGpuHour: { amount, asset }, ...offer }) => ({
      ...offer,
      gpuKey: gpuKeyOf(offer.gpu),
      gpuModel: gpuNameOf(offer.gpu),
      regionTags: regionTagsOf(offer.region),
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

/** A search for listings. `gpu` is a model, however it is written, `region` a country, a continent, or words of it;
 *  `onlyFree`: at least `gpuCountMin` GPUs are free. A maximum price also selects its asset. */
export type ListingSearch = PageRequest & {
  readonly gpu?: string | undefined
  readonly gpuCountMin?: number | undefined
  readonly vramMibMin?: number | undefined
  readonly pricePerGpuHourMax?: Money | undefined
  readonly region?: string | undefined
  readonly onlyFree?: boolean | undefined
}

const openListings = (db: ReadDatabase) => db.selectFrom('Listing').where('status', '=', 'open')
type Condition = Parameters<ReturnType<typeof openListings>['where']>[0]
type ListingConditions = Parameters<Extract<Condition, (builder: never) => unknown>>[0]

/** Returns the condition that a listing is in a region: a country, a continent, or words of it. */
export const isInRegion = ({ and, eb, fn, or, val }: ListingConditions, region: string) => {
  const { areas, words } = regionQuestionOf(region)
  const tags = fn<string>('array_to_string', ['regionTags', val(' ')])
  const together = eb(fn<number>('strpos', [tags, val(` ${words.join(' ')} `)]), '>', 0)
  const named = and([eb('regionTags', '@>', val(words)), together])
  return or([eb('regionTags', '&&', val(areas)), ...(words.length > 0 ? [named] : [])])
}

/** Selects the open listings that fit, after the cursor. */
const fitting = (db: ReadDatabase, search: ListingSearch) => {
  const { gpu, gpuCountMin = 1, vramMibMin, pricePerGpuHourMax: priceMax, region, onlyFree } = search
  const [price, id] = readCursor(search.after, [isInteger, isStorable]) ?? []
  let found = openListings(db)
  if (gpu !== undefined) found = found.where('gpuKey', '=', gpuKeyOf(gpu))
  if (vramMibMin !== undefined) found = found.where('vramMib', '>=', vramMibMin)
  if (region !== undefined) found = found.where((eb) => isInRegion(eb, region))
  if (priceMax) found = found.where('asset', '=', priceMax.asset).where('pricePerGpuHour', '<=', priceMax.amount)
  if (price !== undefined && id !== undefined)
    found = found.where((eb) => eb(eb.refTuple('pricePerGpuHour', 'id'), '>', eb.tuple(BigInt(price), id)))
  return found.where(onlyFree ? 'freeGpus' : 'gpuCount', '>=', gpuCountMin)
}

/** So many listings of a region are sorted here. Where there are more, the first are soon met among all by price. */
const sortedMax = 1_000

/** Resolves to the first listings of a region that fit, the cheapest first; to undefined when there are too many to
 *  sort, or when one has changed meanwhile. The index of regions has no prices, and the planner does not know how rare a
 *  region is: along the index of prices it would read what others list elsewhere. */
const firstInRegion = async (read: ReadModels, search: ListingSearch): Promise<readonly ListingRow[] | undefined> => {
  const found = await read.run('listings.inRegion', (db) =>
    fitting(db, search)
      .select(['pricePerGpuHour', 'id'])
      .limit(sortedMax + 1)
      .execute(),
  )
  if (found.length > sortedMax) return undefined
  const sorted = found.toSorted((a, b) => {
    if (a.pricePerGpuHour !== b.pricePerGpuHour) return a.pricePerGpuHour < b.pricePerGpuHour ? -1 : 1
    return a.id < b.id ? -1 : 1
  })
  const first = sorted.slice(0, rowsToRead(search))
  const ids = first.map(({ id }) => id)
  const rows = (await findListings(read, ids)).flatMap((row, index) =>
    row?.status === 'open' && row.pricePerGpuHour === first[index]?.pricePerGpuHour ? row : [],
  )
  return rows.length === first.length ? rows : undefined
}

/** Resolves to one page of open listings, the cheapest first. Throws INPUT_INVALID, READ_MODEL_BUILDING. */
export const searchListings = async (read: ReadModels, search: ListingSearch): Promise<Page<ListingRow>> => {
  const { gpu, region } = search
  const rows =
    (region === undefined ? undefined : await firstInRegion(read, search)) ??
    (await read.run('listings.search', (db) =>
      fitting(db, search).selectAll().orderBy('pricePerGpuHour').orderBy('id').limit(rowsToRead(search)).execute(),
    ))
  if (rows.length === 0 && (gpu !== undefined || region !== undefined)) await refuseWhileBuilding(read)
  return pageOf(rows, search, (row) => [String(row.pricePerGpuHour), row.id])
}

/** Throws READ_MODEL_BUILDING while the rows are those of an earlier version, which have nothing that a name is found by.
 *  All rows are of one version. */
const refuseWhileBuilding = async (read: ReadModels): Promise<void> => {
  const any = await read.run('listings.version', (db) =>
    db.selectFrom('Listing').select('gpuKey').limit(1).executeTakeFirst(),
  )
  if (any?.gpuKey === null)
    throw new Failure('READ_MODEL_BUILDING', { projection: listings.name, version: String(listings.version) })
}

/** The most names that one call of `gpuModels` resolves to. */
export const gpuModelsMax = 1_000

/** Selects the shown names of models after a name. Each step goes to the next name by the index, past all listings that
 *  have the same. Values: the name, the most names. */
const MODELS = `with recursive models(name) as (
    (select gpu_model from read.listings where gpu_model > ? order by gpu_model limit 1)
    union all
    select l.gpu_model from models cross join lateral
      (select gpu_model from read.listings where gpu_model > models.name order by gpu_model limit 1) l)
  select name from models limit ?`

/** Resolves to the models of all GPUs that were ever listed, sorted, each under one name, after a name or from the
 *  first. Throws INPUT_INVALID, READ_MODEL_BUILDING. */
export const gpuModels = async (
  read: ReadModels,
  { first, after = '' }: { readonly first: number; readonly after?: string | undefined },
): Promise<readonly string[]> => {
  if (first < 1 || first > gpuModelsMax)
    throw new Failure('INPUT_INVALID', { first: String(first), takes: `1 to ${gpuModelsMax}` })
  await refuseWhileBuilding(read)
  const rows = await read.run('listings.gpuModels', () =>
    read.orm.em.fork().execute<{ name: string }[]>(MODELS, [after, first]),
  )
  return rows.map(({ name }) => name)
}

/** How many keys in each direction are compared with one that is unknown. */
const keysComparedMax = 50

/** Selects the known models that are on offer, and others whose keys are near in the alphabet: from the key and from its
 *  beginning upwards, and from the key downwards. Values: the key and its beginning as JSON, the key, the known keys as JSON. */
const NEAR = `with recursive
  up(key, model, step) as (
    select l.gpu_key, l.gpu_model, 1 from json_array_elements_text(?::json) as start(key) cross join lateral
      (select gpu_key, gpu_model from read.listings
        where status = 'open' and gpu_key >= start.key collate "C" order by gpu_key limit 1) l
    union all
    select l.gpu_key, l.gpu_model, step + 1 from up cross join lateral
      (select gpu_key, gpu_model from read.listings
        where status = 'open' and gpu_key > up.key order by gpu_key limit 1) l where step < ${keysComparedMax}),
  down(key, model, step) as (
    (select gpu_key, gpu_model, 1 from read.listings
      where status = 'open' and gpu_key < ? order by gpu_key desc limit 1)
    union all
    select l.gpu_key, l.gpu_model, step + 1 from down cross join lateral
      (select gpu_key, gpu_model from read.listings
        where status = 'open' and gpu_key < down.key order by gpu_key desc limit 1) l where step < ${keysComparedMax})
  select model from up union select model from down union
  select l.gpu_model from json_array_elements_text(?::json) as known(key) cross join lateral
    (select gpu_model from read.listings where status = 'open' and gpu_key = known.key collate "C" limit 1) l`

/** Resolves to the models that are on offer and have the nearest names to this one, at most `max`. */
export const gpuModelsNear = async (read: ReadModels, gpu: string, max: number): Promise<readonly string[]> => {
  await refuseWhileBuilding(read)
  const key = gpuKeyOf(gpu)
  const begins = JSON.stringify([key, key.slice(0, Math.ceil(key.length / 2)).toWellFormed()])
  const rows = await read.run('listings.gpuModelsNear', () =>
    read.orm.em.fork().execute<{ model: string }[]>(NEAR, [begins, key, JSON.stringify(knownGpuKeys)]),
  )
  return nearestGpus(
    gpu,
    rows.map(({ model }) => model),
    max,
  )
}
