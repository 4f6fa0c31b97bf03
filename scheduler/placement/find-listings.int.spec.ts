// What placement asks the database, held to what it means: place() of cheapest.testing.ts. And what it reads.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { isRefusal } from '../../domain/errors.ts'
import { gpuKeyOf, gpuNameOf } from '../../domain/gpu-models.ts'
import { usdc } from '../../domain/money.testing.ts'
import { assets, money } from '../../domain/money.ts'
import { regionTagsOf } from '../../domain/regions.ts'
import type { ReadModels } from '../../projections/database.ts'
import { type AnyRow, accessTo } from '../../projections/engine/table.ts'
import { createReadWorld, type ReadWorld } from '../../projections/engine/world.testing.ts'
import { type ListingRow, listingsTable } from '../../projections/listings.table.ts'
import { listings } from '../../projections/listings.ts'
import { type Candidate, place } from './cheapest.testing.ts'
import type { Needs } from './cheapest.ts'
import { findListings } from './find-listings.ts'

let world: ReadWorld
beforeAll(async () => {
  world = await createReadWorld()
  world.start({ projections: [listings] })
  await world.caughtUp()
})
afterAll(() => world.close())

const moment = '2026-01-01T00:00:00.000Z'
const rowOf = (
  { listing, pricePerGpuHour, ...offer }: Candidate,
  status: ListingRow['status'] = 'open',
): ListingRow => ({
  ...offer,
  gpuKey: gpuKeyOf(offer.gpu),
  gpuModel: gpuNameOf(offer.gpu),
  regionTags: regionTagsOf(offer.region),
  id: listing,
  status,
  reservedBy: [],
  vcpus: 1,
  memoryMib: 1,
  pricePerGpuHour: pricePerGpuHour.amount,
  asset: pricePerGpuHour.asset,
  listedAt: moment,
  position: '0',
  updatedAt: moment,
})

const access = accessTo(listingsTable)
/** Makes the read model have these rows and no other. */
const put = async (rows: readonly ListingRow[]): Promise<void> => {
  await world.database.query('spec.truncate', `truncate ${access.name}`)
  await world.database.query('spec.put', access.upsert('$1'), [access.encode(rows as readonly AnyRow[])])
}

const candidate: fc.Arbitrary<Omit<Candidate, 'listing'>> = fc.record({
  provider: fc.constantFrom('p', 'q', 'r', 's'),
  gpu: fc.constantFrom('H100', 'h100', 'NVIDIA H100 SXM', 'A100', 'H100 NVL'),
  gpuCount: fc.nat(4),
  freeGpus: fc.nat(4),
  vramMib: fc.nat(4),
  region: fc.constantFrom('FR', 'France, FR, EU', 'us-east-1', 'Japan', 'é'.repeat(70), `${'é'.repeat(60)}x`, 'a', 'b'),
  pricePerGpuHour: fc
    .tuple(fc.constantFrom(0n, 1n, 2n, 3n, 10n ** 30n), fc.constantFrom(...assets, ...Array(6).fill('USDC/6')))
    .map(([amount, asset]) => money(amount, asset)),
})
const needs: fc.Arbitrary<Needs> = fc.record(
  {
    gpu: fc.constantFrom('h100', 'H100', 'A100', 'L4'),
    gpuCount: fc.integer({ min: 1, max: 5 }),
    vramMib: fc.nat(5),
    region: fc.constantFrom('', 'Europe', 'FR', 'us', 'Japan', 'Mars'),
    maxPricePerGpuHour: fc
      .tuple(
        fc.constantFrom(1n, 2n, 3n, 10n ** 30n),
        fc.constantFrom('USDC/6' as const, 'USDC/6' as const, 'ETH/18' as const),
      )
      .map(([amount, asset]) => money(amount, asset)),
  },
  { requiredKeys: ['gpu', 'gpuCount', 'maxPricePerGpuHour'] },
)

test('the database finds what place() does, and why there is none', async () => {
  const market = fc.array(fc.tuple(candidate, fc.constantFrom('open', 'open', 'open', 'withdrawn')), { maxLength: 12 })
  const seen = new Set<string>()
  await fc.assert(
    fc.asyncProperty(market, fc.array(needs, { minLength: 5, maxLength: 5 }), async (offers, requests) => {
      const all = offers.map(([offer, status], index) => ({
        offer: { ...offer, listing: `${(index * 7) % 12}` },
        status,
      }))
      await put(all.map(({ offer, status }) => rowOf(offer, status as ListingRow['status'])))
      const open = all.filter(({ status }) => status === 'open').map(({ offer }) => offer)
      for (const request of requests) {
        const placed = place(request, open)
        const found = await findListings(world.read, request, 3)
        if ('candidates' in placed) {
          const firsts = placed.candidates.filter(
            ({ provider }, index, all) => all.findIndex((one) => one.provider === provider) === index,
          )
          const others = placed.candidates.filter((one) => !firsts.includes(one))
          expect(found).toEqual([...firsts, ...others].slice(0, 3).map(({ listing }) => listing))
          seen.add('found')
          continue
        }
        if (!isRefusal(found)) throw new Error(`found ${found}, and place() is ${JSON.stringify(placed)}`)
        seen.add([placed.code, ...Object.keys(placed.details)].join(' '))
        const { gpu, nearest, ...details } = found.details
        expect([found.refused, details]).toEqual([placed.code, placed.details])
      }
    }),
    { numRuns: 200 },
  )
  // A property that never gets anywhere proves nothing.
  expect([...seen]).toEqual(
    expect.arrayContaining([
      'found',
      'GPU_UNKNOWN',
      'NO_FITTING_OFFER gpuCount',
      'NO_FITTING_OFFER vramMibMin',
      'NO_FITTING_OFFER region',
      'NO_FITTING_OFFER gpuCount region',
      'PRICE_ABOVE_MAXIMUM maxPricePerGpuHour',
      'PRICE_ABOVE_MAXIMUM asset',
      'LISTING_FULL gpuCount',
    ]),
  )
}, 120_000)

type Plan = {
  readonly 'Relation Name'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly Plans?: readonly Plan[]
}
type Explained = { readonly 'QUERY PLAN': readonly [{ readonly Plan: Plan }] }

/** Returns how many rows, or entries of an index, a plan has looked at beyond those that an index has passed over. */
const rowsIn = (plan: Plan): number =>
  (plan['Relation Name'] === undefined
    ? 0
    : (plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0)) * plan['Actual Loops']) +
  (plan.Plans ?? []).reduce((sum, inner) => sum + rowsIn(inner), 0)

/** Returns the read models, with the plan of each query added to a list after it was run. */
const explained = (plans: { readonly label: string; readonly plan: Plan }[]): ReadModels => ({
  ...world.read,
  run: (label, query) =>
    world.read.run(label, async (db) => {
      const nodes: Parameters<ReturnType<typeof db.getExecutor>['compileQuery']>[] = []
      const answer = await query(
        db.withPlugin({
          transformQuery: ({ node, queryId }) => {
            nodes.push([node, queryId])
            return node
          },
          transformResult: async ({ result }) => result,
        }),
      )
      for (const [node, queryId] of nodes) {
        const { sql, parameters } = db.getExecutor().compileQuery(node, queryId)
        const explain = `explain (analyze, format json) ${sql}`
        const [row] = await world.database.query<Explained>('spec.explain', explain, [...parameters])
        if (row) plans.push({ label, plan: row['QUERY PLAN'][0].Plan })
      }
      return answer
    }),
})

const strangersOf = (providers: number) =>
  Array.from({ length: 40_000 }, (_, index) => ({
    listing: `s${index}`,
    provider: `stranger ${index % providers}`,
    gpu: ['H100', 'h100'][index % 2] ?? '',
    gpuCount: 1 + (index % 2),
    freeGpus: index % 3 === 0 ? 0 : 1,
    vramMib: 9,
    region: ['US', 'FR'][index % 2] ?? '',
    pricePerGpuHour: usdc(BigInt(1 + (index % 500))),
  }))
const fine = {
  ...{ listing: 'fine', provider: 'p', gpu: 'H100', gpuCount: 8, freeGpus: 8, vramMib: 81_920, region: 'Japan' },
  pricePerGpuHour: usdc(900n),
}
const base = { gpu: 'h100', gpuCount: 1, maxPricePerGpuHour: usdc(1_000n) }

/** Finds listings as a request does. Resolves to them and to the plans of the queries, by label. */
const explain = async (request: Needs) => {
  const plans: { readonly label: string; readonly plan: Plan }[] = []
  const found = await findListings(explained(plans), request, 3)
  return { found, plans, choices: plans.flatMap(({ label, plan }) => (label === 'listings.cheapest' ? [plan] : [])) }
}

test('of 40,000 listings of a stranger a request gets a few rows, and passes over the rest once, in the index alone', async () => {
  const asked: [Needs, unknown][] = [
    [base, ['s1000', 'fine', 's10000']],
    [{ ...base, vramMib: 80_000 }, ['fine']],
    [{ ...base, gpuCount: 3 }, ['fine']],
    [{ ...base, region: 'Japan' }, ['fine']],
    [{ ...base, vramMib: 80_000, region: 'US' }, expect.objectContaining({ refused: 'NO_FITTING_OFFER' })],
    [{ ...base, region: 'Chile' }, expect.objectContaining({ refused: 'NO_FITTING_OFFER' })],
    [{ ...base, maxPricePerGpuHour: usdc(0n) }, expect.objectContaining({ refused: 'PRICE_ABOVE_MAXIMUM' })],
  ]
  for (const isAnalyzed of [false, true]) {
    await put([...strangersOf(1), fine].map((offer) => rowOf(offer)))
    if (isAnalyzed) await world.database.query('spec.vacuum', `vacuum analyze ${access.name}`)
    for (const [request, expected] of asked) {
      const { found, plans, choices } = await explain(request)
      expect(found).toEqual(expected)
      for (const { plan } of plans) expect(plan['Actual Rows']).toBeLessThanOrEqual(3)
      if (request !== base) continue
      expect(choices).toHaveLength(2)
      expect(choices.reduce((sum, plan) => sum + rowsIn(plan), 0)).toBeLessThanOrEqual(40_001 + 3)
      if (isAnalyzed) expect(JSON.stringify(choices)).toContain('"Index Only Scan"')
    }
  }
}, 120_000)

test('where the cheapest are of as many providers as are tried, a request looks at no other row', async () => {
  await put([...strangersOf(39), fine].map((offer) => rowOf(offer)))
  const { found, choices } = await explain(base)
  expect([found, choices.map(rowsIn)]).toEqual([['s1000', 's10000', 's11000'], [3]])
}, 60_000)
