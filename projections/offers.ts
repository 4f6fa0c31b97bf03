import { gpuKeyOf } from '../domain/gpu-models.ts'
import type { Asset, Money } from '../domain/money.ts'
import type { ReadDatabase, ReadModels } from './database.ts'
import type { ListingRow } from './listings.table.ts'
import { isInRegion } from './listings.ts'

/** What open listings must have. `gpu` is a model, however it is written, `region` a country, a continent, or words of
 *  it. */
export type OfferSearch = {
  readonly gpu: string
  readonly gpuCount: number
  readonly vramMib: number
  readonly region?: string | undefined
  readonly priceMax: Money
}

/** The open listings of a model in figures: how many there are, and how many of them have what is asked for; and of those
 *  that have all of it what they cost and have free. The price counts where it is in the asset of the maximum. */
export type OfferFigures = {
  readonly offers: number
  readonly having: {
    readonly gpuCount: number
    readonly vramMib: number
    readonly region: number
    readonly all: number
  }
  readonly gpuCountMost: number
  readonly vramMibMost: number
  readonly cheapest: bigint | undefined
  /** One in which some of them are offered. */
  readonly asset: Asset | undefined
  readonly freeMost: number
}

/** How many characters of a region are shown. */
export const regionCharactersShown = 60

const openOf = (db: ReadDatabase, gpu: string) =>
  db.selectFrom('Listing').where('status', '=', 'open').where('gpuKey', '=', gpuKeyOf(gpu))

type Found = Pick<ListingRow, 'id' | 'provider' | 'pricePerGpuHour' | 'freeGpus'>

/** Resolves to the ids of listings that fit, at most `max`: first the cheapest one of each provider, then others. Both in
 *  the order of an index: the cheapest first, of those with one price that with the fewest free GPUs, then by id. What does
 *  not fit and what else a provider has is passed over in the index, and once; except what is in another region. */
export const cheapestOffers = async (
  read: ReadModels,
  { gpu, gpuCount, vramMib, region, priceMax }: OfferSearch,
  max: number,
): Promise<readonly string[]> => {
  const ofProvider = new Map<string, string>()
  const others: string[] = []
  let last: Found | undefined
  for (;;) {
    const from = last
    const rows: readonly Found[] = await read.run('listings.cheapest', (db) => {
      let fitting = openOf(db, gpu)
        .select(['id', 'provider', 'pricePerGpuHour', 'freeGpus'])
        .where('asset', '=', priceMax.asset)
        .where('pricePerGpuHour', '<=', priceMax.amount)
        .where('freeGpus', '>=', gpuCount)
        .where('gpuCount', '>=', gpuCount)
        .where('vramMib', '>=', vramMib)
      if (region) fitting = fitting.where((eb) => isInRegion(eb, region))
      if (from) {
        const { pricePerGpuHour, freeGpus, id } = from
        fitting = fitting
          .where('provider', 'not in', [...ofProvider.keys()])
          .where((eb) =>
            eb(eb.refTuple('pricePerGpuHour', 'freeGpus', 'id'), '>', eb.tuple(pricePerGpuHour, freeGpus, id)),
          )
      }
      return fitting.orderBy('pricePerGpuHour').orderBy('freeGpus').orderBy('id').limit(max).execute()
    })
    for (const { id, provider } of rows)
      if (ofProvider.has(provider)) others.push(id)
      else ofProvider.set(provider, id)
    if (rows.length < max || ofProvider.size >= max) return [...ofProvider.values(), ...others].slice(0, max)
    last = rows.at(-1)
  }
}

/** Resolves to the figures of the open listings of a model. */
export const offersInFigures = async (
  read: ReadModels,
  { gpu, gpuCount, vramMib, region, priceMax }: OfferSearch,
): Promise<OfferFigures> => {
  const [row] = await read.run('listings.figures', (db) =>
    openOf(db, gpu)
      .select((builder) => {
        const { eb, fn, lit } = builder
        const enough = eb('gpuCount', '>=', gpuCount)
        const roomy = eb('vramMib', '>=', vramMib)
        const there = region ? isInRegion(builder, region) : lit(true)
        const all = eb.and([enough, roomy, there])
        const inAsset = eb.and([all, eb('asset', '=', priceMax.asset)])
        return [
          fn.countAll().as('offers'),
          fn.countAll().filterWhere(enough).as('enough'),
          fn.countAll().filterWhere(roomy).as('roomy'),
          fn.countAll().filterWhere(there).as('there'),
          fn.countAll().filterWhere(all).as('all'),
          fn.max('gpuCount').as('gpuCountMost'),
          fn.max('vramMib').as('vramMibMost'),
          fn.min('pricePerGpuHour').filterWhere(inAsset).as('cheapest'),
          fn.min('asset').filterWhere(all).as('asset'),
          fn
            .max('freeGpus')
            .filterWhere(eb.and([inAsset, eb('pricePerGpuHour', '<=', priceMax.amount)]))
            .as('freeMost'),
        ]
      })
      .execute(),
  )
  const cheapest = row?.cheapest ?? undefined
  return {
    offers: Number(row?.offers ?? 0),
    having: {
      gpuCount: Number(row?.enough ?? 0),
      vramMib: Number(row?.roomy ?? 0),
      region: Number(row?.there ?? 0),
      all: Number(row?.all ?? 0),
    },
    gpuCountMost: row?.gpuCountMost ?? 0,
    vramMibMost: row?.vramMibMost ?? 0,
    cheapest: cheapest === undefined ? undefined : BigInt(String(cheapest)),
    asset: row?.asset ?? undefined,
    freeMost: row?.freeMost ?? 0,
  }
}

/** Resolves to the regions of the open listings of a model, the one with the cheapest first, at most `max`. */
export const regionsOfOffers = async (read: ReadModels, gpu: string, max: number): Promise<readonly string[]> => {
  const rows = await read.run('listings.regionsOf', (db) =>
    openOf(db, gpu)
      .select(({ fn, lit }) => fn<string>('left', ['region', lit(regionCharactersShown)]).as('shown'))
      .groupBy('shown')
      .orderBy((eb) => eb.fn.min('pricePerGpuHour'))
      .orderBy((eb) => eb.fn.min('id'))
      .limit(max)
      .execute(),
  )
  return rows.map(({ shown }) => shown)
}
