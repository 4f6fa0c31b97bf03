import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { gpuKeyOf, gpuNameOf } from '../domain/gpu-models.ts'
import { usdc } from '../domain/money.testing.ts'
import { areas, continents } from '../domain/regions.testing.ts'
import { regionMatcher } from '../domain/regions.ts'
import { at, createSpecLog } from './engine/log.testing.ts'
import { createReadWorld, type ReadWorld } from './engine/world.testing.ts'
import { gpuModels, listings, searchListings } from './listings.ts'
import { pageRowsMax } from './page.ts'

const written = areas.flatMap(({ code, continent, names }) => [`${names[0]}, ${code}, ${continent}`, `${code}-east-1`])
/** One character that becomes eighteen, and one with two code units. */
const [ligature, astral] = ['\uFDFA', '\u{10400}']
const words = ['us', 'US', 'east', 'West', 'central', '1', '2', '\u00CEle', 'Z\u00FCrich', '\u0131', '\u0130zmir']
const word = fc.oneof(
  fc.constantFrom(...words, ligature, astral, '\u6771\u4EAC', '%', '_', "'", '\\'),
  fc.constantFrom(...continents, ...areas.flatMap(({ code, three, names }) => [code, three, ...names])),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
)
const text = fc
  .array(fc.tuple(word, fc.constantFrom('', ' ', '-', '_', ', ')), { maxLength: 5 })
  .map((parts) => parts.flat().join(''))
  .filter((region) => region.isWellFormed() && !region.includes('\0') && region.length <= 200)
/** The texts that are largest in an index. */
const squared = Array.from({ length: 88 }, (_, index) => String.fromCodePoint(0x3300 + index)).join('')
const long = [ligature.repeat(200), squared, '\u6771'.repeat(200), astral.repeat(100), 'a1'.repeat(100)]
const regions = [...new Set([...written, ...continents, ...long, ...fc.sample(text, 150)])]

let world: ReadWorld

beforeAll(async () => {
  world = await createReadWorld()
  world.start({ projections: [listings] })
  const log = createSpecLog(world.store)
  const offer = { provider: '0xp', gpuCount: 1, vramMib: 1, vcpus: 1, memoryMib: 1, listedAt: at(0) }
  for (const [index, region] of regions.entries())
    await log.write('listing', `l${index}`, {
      type: 'GpusListed',
      ...offer,
      gpu: region,
      region,
      pricePerGpuHour: usdc(1n),
    })
  await world.caughtUp()
}, 180_000)
afterAll(() => world.close())

const search = async (asked: { region: string } | { gpu: string }) => {
  const found: string[] = []
  for (let after: string | undefined, more = true; more; ) {
    const page = await searchListings(world.read, { ...asked, first: pageRowsMax, after })
    found.push(...page.rows.map(({ region }) => region))
    ;[after, more] = [page.endCursor, page.hasNextPage]
  }
  return found.sort()
}

const expectRegions = async (asked: string) =>
  expect([asked, ...(await search({ region: asked }))]).toEqual([asked, ...regions.filter(regionMatcher(asked)).sort()])

test('the index finds what the matcher finds: each country and continent', async () => {
  const asked = areas.map(({ code, names }, index) => (index % 2 === 0 ? code : (names[0] ?? '')))
  for (const name of [...continents, ...asked]) await expectRegions(name)
}, 180_000)

test('the index finds what the matcher finds: words of regions, and any text', () =>
  fc.assert(fc.asyncProperty(fc.oneof(text, fc.constantFrom(...regions), fc.constantFrom(...long)), expectRegions), {
    numRuns: 60,
  }))

test('a model is found by each name that has its key', () =>
  fc.assert(
    fc.asyncProperty(fc.oneof(text, fc.constantFrom(...regions, ...long)), async (gpu) => {
      const expected = regions.filter((name) => gpuKeyOf(name) === gpuKeyOf(gpu))
      expect(await search({ gpu })).toEqual(expected.sort())
    }),
    { numRuns: 100 },
  ))

test('all models come in the order of their bytes, whatever characters they have', async () => {
  const expected = [...new Set(regions.map(gpuNameOf))].filter((name) => name !== '')
  const bytes = (name: string) => Buffer.from(name)
  expect(await gpuModels(world.read, { first: 1_000 })).toEqual(
    expected.toSorted((a, b) => Buffer.compare(bytes(a), bytes(b))).slice(0, 1_000),
  )
})
