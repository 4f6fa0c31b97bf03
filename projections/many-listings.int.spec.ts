import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { gpuKeyOf } from '../domain/gpu-models.ts'
import { regionTagsOf } from '../domain/regions.ts'
import type { ReadModels } from './database.ts'
import { createReadWorld, type ReadWorld } from './engine/world.testing.ts'
import { gpuModels, gpuModelsMax, gpuModelsNear, type ListingSearch, searchListings } from './listings.ts'
import { cursorOf } from './page.ts'

const [names, listingsOfAll] = [12_000, 50_000]
let world: ReadWorld

/** Inserts listings, with the fields in their order as arrays. */
const INSERT = `insert into read.listings (id, provider, status, gpu, gpu_key, gpu_model, region_tags, gpu_count, free_gpus,
    reserved_by, vram_mib, vcpus, memory_mib, region, price_per_gpu_hour, asset, listed_at, position, updated_at)
  select id, '0xp', status, gpu, gpu_key, gpu, string_to_array(tags, ' '), 8, 8,
    '[]', 9, 1, 1, '', price, 'USDC/6', now(), '', now()
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[])
    as l(id, status, gpu, gpu_key, tags, price)`

type Listed = { readonly id: string; readonly gpu: string; readonly region: string; readonly price: number }

const insert = (listed: readonly Listed[]) =>
  world.database.query('spec.insert', INSERT, [
    listed.map(({ id }) => id),
    listed.map(({ id }) => (id.endsWith('7') ? 'withdrawn' : 'open')),
    listed.map(({ gpu }) => gpu),
    listed.map(({ gpu }) => gpuKeyOf(gpu)),
    listed.map(({ region }) => regionTagsOf(region).join(' ')),
    listed.map(({ price }) => price),
  ])

/** Of one wallet: cheaper than all others, each name and each hall several times. */
const stranger = Array.from({ length: listingsOfAll }, (_, index) => {
  const name = index % names
  return { id: `s${index}`, gpu: `ZZ${name}N`, region: `hall${name}x, US, NA`, price: index % 1_000 }
})
const honest = [
  ...['B300X', 'H100', 'A100', 'RTX4090'].map((gpu) => ({ id: gpu, gpu, region: 'Oslo, NO, EU', price: 5_000 })),
  { id: 'L4', gpu: 'L4', region: 'Lyon, FR, EU', price: 4_000 },
]

beforeAll(async () => {
  world = await createReadWorld()
  await world.start().waitFor(world.store.start, 15_000)
  await insert(stranger)
  await insert(honest)
  await world.database.query('spec.analyze', 'analyze read.listings')
}, 180_000)
afterAll(() => world.close())

type Plan = { readonly [key: string]: unknown; readonly Plans?: readonly Plan[] }

/** Returns how many rows and entries of indexes a plan has read. */
const readBy = (plan: Plan): number => {
  const figure = (name: string) => Number(plan[name] ?? 0)
  const rows = figure('Actual Rows') + figure('Rows Removed by Filter') + figure('Rows Removed by Index Recheck')
  const isScan = plan['Relation Name'] !== undefined || plan['Index Name'] !== undefined
  const below = (plan.Plans ?? []).reduce((sum, inner) => sum + readBy(inner), 0)
  return below + (isScan ? rows * figure('Actual Loops') : 0)
}

/** Asks, and resolves to the answer and to what PostgreSQL reads for it. */
const counting = async <Answer>(ask: (read: ReadModels) => Promise<Answer>) => {
  let rows = 0
  const explain = async (sql: string, values: readonly unknown[] = []) => {
    const [explained] = await world.database.query<{ 'QUERY PLAN': readonly { readonly Plan: Plan }[] }>(
      'spec.explain',
      `explain (analyze, format json) ${sql}`,
      [...values],
    )
    rows += readBy(explained?.['QUERY PLAN'][0]?.Plan ?? {})
  }
  const { read } = world
  const execute = async (sql: string, values: unknown[]) => {
    const em = read.orm.em.fork()
    await explain(em.getPlatform().formatQuery(sql, values))
    return em.execute(sql, values)
  }
  const run: ReadModels['run'] = (label, query) =>
    read.run(label, async (db) => {
      const sent: { readonly sql: string; readonly parameters: readonly unknown[] }[] = []
      const recorded = db.withPlugin({
        transformQuery: ({ node, queryId }) => {
          sent.push(db.withoutPlugins().getExecutor().compileQuery(node, queryId))
          return node
        },
        transformResult: async ({ result }) => result,
      })
      const answer = await query(recorded)
      for (const { sql, parameters } of sent) await explain(sql, parameters)
      return answer
    })
  const recording = { ...read, run, orm: { em: { fork: () => ({ execute }) } } } as unknown as ReadModels
  return { answer: await ask(recording), rows }
}

const all = { first: 10 }
const norwegian = ['A100', 'B300X', 'H100', 'RTX4090']

test.each<[string, ListingSearch, readonly string[], number]>([
  ['a model', { ...all, gpu: 'b300x' }, ['B300X'], 3],
  ['a model under another name', { ...all, gpu: 'nvidia H100 SXM' }, ['H100'], 3],
  ['a model that is not on offer', { ...all, gpu: 'B200' }, [], 3],
  ['a country', { ...all, region: 'Norway' }, norwegian, 20],
  ['a continent', { ...all, region: 'EU' }, ['L4', ...norwegian], 20],
  ['words', { ...all, region: 'oslo' }, norwegian, 20],
  ['a region that is not on offer', { ...all, region: 'Bergen' }, [], 20],
  ['a model in a country', { ...all, gpu: 'B300X', region: 'Norway' }, ['B300X'], 20],
  ['the next page', { ...all, region: 'EU', after: cursorOf(['5000', 'B300X']) }, ['H100', 'RTX4090'], 20],
  ['all', { ...all, first: 2 }, ['s0', 's1000'], 3],
  ['a country where very many are', { ...all, first: 2, region: 'US' }, ['s0', 's1000'], 1_200],
])('%s: found without reading what others list', async (_, question, expected, rowsMax) => {
  const { answer, rows } = await counting((read) => searchListings(read, question))
  expect(answer.rows.map(({ id }) => id)).toEqual(expected)
  expect(rows).toBeGreaterThan(0)
  expect(rows).toBeLessThanOrEqual(rowsMax)
})

test('pages of models reach each name, with a step for each', async () => {
  const seen: string[] = []
  for (let more = true; more; ) {
    const { answer, rows } = await counting((read) => gpuModels(read, { first: gpuModelsMax, after: seen.at(-1) }))
    expect(rows).toBeLessThanOrEqual(gpuModelsMax + 3)
    seen.push(...answer)
    more = answer.length === gpuModelsMax
  }
  const expected = new Set([...stranger, ...honest].map(({ gpu }) => gpu))
  expect(seen).toEqual([...expected].sort())
})

test.each([
  ['H1O0', 'H100'],
  ['h10', 'H100'],
  ['RTX 409', 'RTX4090'],
  ['AlOO', 'A100'],
  ['B300Y', 'B300X'],
  ['B30X', 'B300X'],
  ['ZZ12M', 'ZZ12N'],
  ['L40', 'L4'],
  ['', 'H100'],
  ['Q'.repeat(200), 'H100'],
])('nearest to %j is %s, whatever others list', async (asked, expected) => {
  const { answer, rows } = await counting((read) => gpuModelsNear(read, asked, 5))
  expect(answer).toContain(expected)
  expect(rows).toBeGreaterThan(0)
  expect(rows).toBeLessThan(250)
})
