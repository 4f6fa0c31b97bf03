import type { Asset, Money } from '../domain/money.ts'
import type { ReadDatabase, ReadModels } from './database.ts'

/** What open listings must have. `gpus` and `regions` are compared as they are written; without regions all are taken. */
export type OfferSearch = {
  readonly gpus: readonly string[]
  readonly gpuCount: number
  readonly vramMib: number
  readonly regions?: readonly string[] | undefined
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

const openOf = (db: ReadDatabase, gpus: readonly string[]) =>
  db.selectFrom('Listing').where('status', '=', 'open').where('gpu', 'in', gpus)

/** Resolves to the ids of the listings that fit, at most `max`: the cheapest first, of those with one price that with the
 *  fewest free GPUs, then by id. Each name is an index scan in this order, which ends after `max` rows; what does not fit
 *  is passed over in the index. */
export const cheapestOffers = async (
  read: ReadModels,
  { gpus, gpuCount, vramMib, regions, priceMax }: OfferSearch,
  max: number,
): Promise<readonly string[]> => {
  if (gpus.length === 0 || regions?.length === 0) return []
  const rows = await read.run('listings.cheapest', (db) =>
    db
      .selectFrom(({ fn, cast, val }) =>
        fn<{ value: string }>('json_array_elements_text', [cast(val(JSON.stringify(gpus)), 'json')]).as('model'),
      )
      .innerJoinLateral(
        ({ selectFrom }) => {
          const fitting = selectFrom('Listing as offer')
            .select(['offer.id', 'offer.pricePerGpuHour', 'offer.freeGpus'])
            .where('offer.status', '=', 'open')
            .whereRef('offer.gpu', '=', 'model.value' as never)
            .where('offer.asset', '=', priceMax.asset)
            .where('offer.pricePerGpuHour', '<=', priceMax.amount)
            .where('offer.freeGpus', '>=', gpuCount)
            .where('offer.gpuCount', '>=', gpuCount)
            .where('offer.vramMib', '>=', vramMib)
          return (regions ? fitting.where('offer.region', 'in', regions) : fitting)
            .orderBy('offer.pricePerGpuHour')
            .orderBy('offer.freeGpus')
            .orderBy('offer.id')
            .limit(max)
            .as('found')
        },
        (join) => join.onTrue(),
      )
      .select('found.id')
      .orderBy('found.pricePerGpuHour')
      .orderBy('found.freeGpus')
      .orderBy('found.id')
      .limit(max)
      .execute(),
  )
  return rows.map(({ id }) => id)
}

/** Resolves to the figures of the open listings with these GPUs. */
export const offersInFigures = async (
  read: ReadModels,
  { gpus, gpuCount, vramMib, regions, priceMax }: OfferSearch,
): Promise<OfferFigures> => {
  const [row] = await read.run('listings.figures', (db) =>
    openOf(db, gpus)
      .select(({ eb, fn, lit }) => {
        const enough = eb('gpuCount', '>=', gpuCount)
        const roomy = eb('vramMib', '>=', vramMib)
        const there = !regions ? lit(true) : regions.length === 0 ? lit(false) : eb('region', 'in', regions)
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

/** Resolves to the regions of the open listings with these GPUs, the one with the cheapest first, at most `max`. */
export const regionsOfOffers = async (
  read: ReadModels,
  gpus: readonly string[],
  max: number,
): Promise<readonly string[]> => {
  const rows = await read.run('listings.regionsOf', (db) =>
    openOf(db, gpus)
      .select(({ fn, lit }) => fn<string>('left', ['region', lit(regionCharactersShown)]).as('shown'))
      .groupBy('shown')
      .orderBy((eb) => eb.fn.min('pricePerGpuHour'))
      .orderBy((eb) => eb.fn.min('id'))
      .limit(max)
      .execute(),
  )
  return rows.map(({ shown }) => shown)
}
