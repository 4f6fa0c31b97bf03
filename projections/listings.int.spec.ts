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
  type ListingSearch,
  listings,
  listingsOf,
  openListingsOf,
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

describe('searching listings', () => {
  const search = async (question: Partial<ListingSearch>) =>
    (await searchListings(world.read, { first: 100, ...question })).rows.map(({ id }) => id)

  test.each<[string, Partial<ListingSearch>, string[]]>([
    ['GPUs, the cheapest first', { gpu: 'A100 80GB' }, ['o1', 'o2', 'o4']],
    ['a maximum price, and with it an asset', { gpu: 'A100 80GB', pricePerGpuHourMax: usdc(1_200_000n) }, ['o1', 'o2']],
    ['a maximum price that no provider offers', { gpu: 'A100 80GB', pricePerGpuHourMax: usdc(1_199_999n) }, []],
    ['a price of 30 digits', { pricePerGpuHourMax: money(10n ** 29n, 'NMESH/18') }, ['o4']],
    ['GPUs enough', { gpu: 'A100 80GB', gpuCountMin: 2 }, ['o1', 'o4']],
    ['GPUs enough that are free', { gpu: 'A100 80GB', gpuCountMin: 2, onlyFree: true }, ['o4']],
    ['any that is free', { gpu: 'A100 80GB', onlyFree: true }, ['o1', 'o2', 'o4']],
    ['memory enough', { gpu: 'A100 80GB', vramMibMin: 80_000 }, ['o1']],
    ['a model however it is written', { gpu: ' nvidia a100-SXM4-80gb' }, ['o1', 'o2', 'o4']],
    ['nothing of another model', { gpu: 'A100' }, []],
    ['a country', { region: 'usa' }, ['o2']],
    ['a continent, and with it a model', { gpu: 'a100_80gb', region: 'Europe' }, ['o1', 'o4']],
    ['no part of a word', { region: 'u' }, []],
    ['no pattern', { region: '%' }, []],
    ['no region that has no word', { region: '-' }, []],
  ])('finds %s', async (_, question, expected) => expect(await search(question)).toEqual(expected))

  test('finds the nearest models on offer', async () => {
    expect(await gpuModelsNear(world.read, 'H10', 1)).toEqual(['H100'])
    expect(await gpuModelsNear(world.read, '', 5)).toEqual(['H100', 'A100-80GB'])
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
    gpuKey: 'a10080gb',
    gpuModel: 'A100-80GB',
    regionTags: ['DE', '-EU', '', 'de', ''],
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

test('rows of an earlier version are not taken for an empty market', async () => {
  await world.database.query(
    'spec.age',
    'update read.listings set gpu_key = null, gpu_model = null, region_tags = null',
  )
  const building = { code: 'READ_MODEL_BUILDING', details: { projection: 'listings', version: '3' } }
  for (const named of [{ gpu: 'H100' }, { region: 'FR' }])
    await expect(searchListings(world.read, { first: 1, ...named })).rejects.toMatchObject(building)
  await expect(gpuModels(world.read, { first: 1 })).rejects.toMatchObject(building)
  await expect(gpuModelsNear(world.read, 'H100', 1)).rejects.toMatchObject(building)
  expect((await searchListings(world.read, { first: 1 })).rows).toHaveLength(1)
})
