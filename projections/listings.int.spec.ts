import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Offer } from '../domain/listing.ts'
import { usdc } from '../domain/money.testing.ts'
import { money } from '../domain/money.ts'
import { at, createSpecLog, type SpecLog } from './engine/log.testing.ts'
import { createReadWorld, type ReadWorld } from './engine/world.testing.ts'
import {
  findListing,
  gpuModels,
  gpuModelsNear,
  gpuNamesLike,
  type ListingSearch,
  listings,
  listingsOf,
  openListingsOf,
  regionsLike,
  searchListings,
} from './listings.ts'

let world: ReadWorld
let log: SpecLog

beforeAll(async () => {
  world = await createReadWorld()
  world.start({ projections: [listings] })
  log = createSpecLog(world.store)
  await offer('o1', { gpu: 'A100-80GB', gpuCount: 4, vramMib: 81_920, region: 'DE', pricePerGpuHour: usdc(1_200_000n) })
  await offer('o2', { gpu: 'a100-80gb', gpuCount: 1, vramMib: 40_960, region: 'US', pricePerGpuHour: usdc(1_200_000n) })
  await offer('o3', { gpu: 'A100-80GB', gpuCount: 4, pricePerGpuHour: usdc(900_000n) })
  await offer('o4', { gpu: 'A100-80GB', gpuCount: 4, pricePerGpuHour: money(10n ** 29n, 'NMESH/18') })
  await log.write('listing', 'o3', { type: 'ListingWithdrawn' })
  await log.write('listing', 'o1', {
    type: 'CapacityReserved',
    rental: 'x',
    gpuCount: 3,
    provider: '0xp',
    gpu: 'A100-80GB',
    pricePerGpuHour: usdc(1_200_000n),
  })
  for (const id of ['h1', 'h2', 'h3', 'h4', 'h5', 'h6'])
    await offer(id, { gpu: 'H100', gpuCount: 8, pricePerGpuHour: usdc(3_600_000n) })
  await world.caughtUp()
})
afterAll(() => world.close())

const offer = (id: string, terms: Partial<Offer>) =>
  log.write('listing', id, {
    type: 'GpusListed',
    provider: '0xp',
    gpu: 'L4',
    gpuCount: 1,
    vramMib: 24_576,
    vcpus: 8,
    memoryMib: 32_768,
    region: 'FR',
    pricePerGpuHour: usdc(500_000n),
    listedAt: at(50),
    ...terms,
  })

const a100 = ['A100-80GB', 'a100-80gb']

describe('searching listings', () => {
  const search = async (question: Partial<ListingSearch>) =>
    (await searchListings(world.read, { first: 100, ...question })).rows.map(({ id }) => id)

  test.each<[string, Partial<ListingSearch>, string[]]>([
    ['GPUs, the cheapest first', { gpus: a100 }, ['o1', 'o2', 'o4']],
    ['a maximum price, and with it an asset', { gpus: a100, pricePerGpuHourMax: usdc(1_200_000n) }, ['o1', 'o2']],
    ['a maximum price that no provider offers', { gpus: a100, pricePerGpuHourMax: usdc(1_199_999n) }, []],
    ['a price of 30 digits', { pricePerGpuHourMax: money(10n ** 29n, 'NMESH/18') }, ['o4']],
    ['GPUs enough', { gpus: a100, gpuCountMin: 2 }, ['o1', 'o4']],
    ['GPUs enough that are free', { gpus: a100, gpuCountMin: 2, onlyFree: true }, ['o4']],
    ['any that is free', { gpus: a100, onlyFree: true }, ['o1', 'o2', 'o4']],
    ['memory enough', { gpus: a100, vramMibMin: 80_000 }, ['o1']],
    ['regions', { regions: ['US'] }, ['o2']],
    ['a region as it is written, not as a pattern', { regions: ['%'] }, []],
    ['no GPU', { gpus: [] }, []],
    ['no region', { regions: [] }, []],
  ])('finds %s', async (_, question, expected) => expect(await search(question)).toEqual(expected))

  test('finds the names of a model, the regions of a country, and the nearest models on offer', async () => {
    for (const name of ['A100 80GB', 'a100_80gb', 'NVIDIA A100-SXM4-80GB'])
      expect(await gpuNamesLike(world.read, name)).toEqual(a100)
    expect(await gpuNamesLike(world.read, 'A100')).toEqual([])
    expect(await regionsLike(world.read, 'Europe')).toEqual(['DE', 'FR'])
    expect(await regionsLike(world.read, 'u')).toEqual([])
    expect(await gpuModelsNear(world.read, 'H10', 1)).toEqual(['H100'])
  })

  test('finds the listings of a provider, and the open ones in a range', async () => {
    const found = await listingsOf(world.read, '0xp', { gpus: ['A100-80GB'], regions: ['FR'] })
    expect(found.map(({ id, status }) => [id, status])).toEqual([
      ['o3', 'withdrawn'],
      ['o4', 'open'],
    ])
    expect(await openListingsOf(world.read, '0xp', { after: 'h5', until: 'o2', first: 10 })).toEqual(['h6', 'o1', 'o2'])
    expect(await openListingsOf(world.read, '0xp', { first: 2 })).toEqual(['h1', 'h2'])
    expect(await openListingsOf(world.read, '0xq', { first: 2 })).toEqual([])
  })

  test('names the models that were ever listed', async () =>
    expect([
      await gpuModels(world.read, { first: 1_000 }),
      await gpuModels(world.read, { first: 1 }),
      await gpuModels(world.read, { first: 2, after: 'A100-80GB' }),
    ]).toEqual([['A100-80GB', 'H100'], ['A100-80GB'], ['H100']]))

  test('pages through all, without gaps or repetition when listings come in between', async () => {
    const seen: string[] = []
    let after: string | undefined
    for (let page = 0; ; page++) {
      const { rows, hasNextPage, endCursor } = await searchListings(world.read, { first: 4, after })
      seen.push(...rows.map(({ id }) => id))
      // Before what was seen and after: the first is too late to be shown, the other is not.
      await offer(`cheap-${page}`, { pricePerGpuHour: usdc(1n) })
      await world.caughtUp()
      if (!hasNextPage) break
      after = endCursor
    }
    const before = await search({})
    expect(seen).toEqual(before.filter((id) => !id.startsWith('cheap')))
    expect(seen).toHaveLength(9)
  })
})

test('a listing comes as the fold has made it', async () => {
  expect(await findListing(world.read, 'o1')).toEqual({
    id: 'o1',
    provider: '0xp',
    status: 'open',
    gpu: 'A100-80GB',
    gpuCount: 4,
    freeGpus: 1,
    reservedBy: [],
    vramMib: 81_920,
    vcpus: 8,
    memoryMib: 32_768,
    region: 'DE',
    pricePerGpuHour: 1_200_000n,
    asset: 'USDC/6',
    listedAt: at(50),
    position: expect.stringMatching(/^pg-.+-\d{20}$/),
    updatedAt: expect.stringMatching(/^2026-01-01T00:0.:..\.000Z$/),
  })
})
