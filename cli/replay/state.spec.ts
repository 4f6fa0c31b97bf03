import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type AnyRow, type AnyRows, integer, lookup, type Rows, replay, table, text } from '../../analysis/replay.ts'
import { createState, type Storage } from './state.ts'

const counters = replay({
  tables: {
    names: lookup({ key: { id: integer() }, columns: { name: text() } }),
    sums: table({ key: { name: text(), group: integer() }, columns: { sum: integer() } }),
  },
  fold: { PriceChanged: () => undefined },
})

/** Rows by the texts of their keys, as a database would have them; `loads` counts the questions. */
const createStorage = () => {
  const tables = new Map<string, Map<string, AnyRow>>()
  const asked = { loads: 0 }
  const of = (name: string) => tables.get(name) ?? tables.set(name, new Map()).get(name) ?? new Map<string, AnyRow>()
  const idOf = (key: readonly { property: string }[], row: AnyRow) =>
    key.map(({ property }) => String(row[property])).join(' ')
  const storage: Storage = {
    load: async ({ name, key }, keys) => {
      asked.loads++
      return keys.map((row) => of(name).get(idOf(key, row))).filter((row) => row !== undefined)
    },
    save: async ({ name, key }, rows) => {
      for (const row of rows) of(name).set(idOf(key, row), row)
    },
    remove: async ({ name, key }, keys) => {
      for (const row of keys) of(name).delete(idOf(key, row))
    },
  }
  return { storage, asked, rowsOf: (name: string) => [...of(name)].toSorted(([a], [b]) => (a < b ? -1 : 1)) }
}

type Step = { readonly id: number; readonly group: number; readonly kind: 'name' | 'add' | 'forget' | 'move' }
const step = fc.record({
  id: fc.nat(12),
  group: fc.nat(3),
  kind: fc.constantFrom<Step['kind']>('name', 'add', 'add', 'forget', 'move'),
})

/** Returns what a fold does: it reads one row to learn which other one to read. */
const foldOf =
  ({ id, group, kind }: Step) =>
  (rows: AnyRows) => {
    const { names, sums } = rows as unknown as {
      names: Rows<{ id: bigint }, { id: bigint; name: string }>
      sums: Rows<{ name: string; group: bigint }, { name: string; group: bigint; sum: bigint }>
    }
    const known = names.get({ id: BigInt(id) })
    if (kind === 'name') names.set({ id: BigInt(id), name: `${known?.name ?? ''}${id}`.slice(-6) })
    if (kind === 'forget') names.delete({ id: BigInt(id) })
    if (kind !== 'add' && kind !== 'move') return
    const key = { name: known?.name ?? 'nobody', group: BigInt(group) }
    const row = sums.get(key)
    sums.set({ ...key, sum: (row?.sum ?? 0n) + BigInt(id) })
    if (kind === 'move' && row) sums.delete(key)
  }

const run = async (steps: readonly Step[], rowsMax: number, batchSize: number, counts: (index: number) => boolean) => {
  const world = createStorage()
  const state = createState({ tables: counters.tables, storage: world.storage, rowsMax })
  for (let from = 0; from < steps.length; from += batchSize) {
    const batch = steps.slice(from, from + batchSize)
    for (let index = 0; index < batch.length; ) {
      if (state.attempt(foldOf(batch[index] as Step), counts(from + index))) index++
      else {
        for (const later of batch.slice(index + 1)) state.collectMissing(foldOf(later))
        await state.fetchMissing()
      }
    }
    await state.evict()
  }
  await state.flush()
  return { names: world.rowsOf('names'), sums: world.rowsOf('sums'), loads: world.asked.loads }
}

describe('rows that do not fit into memory', () => {
  test('fold to the same as rows that do', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 120 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 20 }),
        fc.nat(60),
        async (steps, rowsMax, batchSize, firstThatCounts) => {
          const counts = (index: number) => index >= firstThatCounts
          const { loads, ...small } = await run(steps, rowsMax, batchSize, counts)
          const { loads: none, ...large } = await run(steps, 1_000_000, batchSize, counts)
          expect(small).toEqual(large)
          expect(none).toBe(0)
        },
      ),
      { numRuns: 200 },
    ))

  test('are loaded together: one query for all rows of a batch, and one for the rows that depend on these', async () => {
    const each = (from: number, of: (id: number) => Step) => Array.from({ length: 50 }, (_, index) => of(from + index))
    const name = (id: number): Step => ({ id, group: 0, kind: 'name' })
    const add = (id: number): Step => ({ id, group: id, kind: 'add' })
    const before = [...each(0, name), ...each(0, add), ...each(100, name)]
    const { loads } = await run(before, 2, 50, () => true)
    expect(await run([...before, ...each(0, add)], 2, 50, () => true)).toMatchObject({ loads: loads + 2 })
  })
})

describe('a row', () => {
  const stateOf = () => createState({ tables: counters.tables, storage: createStorage().storage, rowsMax: 10 })
  const set = (row: AnyRow) => () => stateOf().attempt(({ sums }) => sums?.set(row), true)

  test.each([
    [{ name: 'a', group: 1n }, 'sum', 'undefined'],
    [{ name: 'a', group: 1n, sum: 1 }, 'sum', '1'],
    [{ name: 'a', group: 1n, sum: 2n ** 63n }, 'sum', '9223372036854775808n'],
    [{ name: 'a\0', group: 1n, sum: 1n }, 'name', '"a\\u0000"'],
    [{ name: null, group: 1n, sum: 1n }, 'name', 'null'],
  ])('%p does not fit its table', (row, column, value) =>
    expect(set(row)).toThrow(
      expect.objectContaining({
        code: 'REPLAY_ROW_INVALID',
        details: expect.objectContaining({ table: 'sums', column, value }),
      }),
    ),
  )

  test('that was read is frozen', () => {
    const state = stateOf()
    state.attempt(({ sums }) => sums?.set({ name: 'a', group: 1n, sum: 1n }), true)
    expect(() =>
      state.attempt(({ sums }) => Object.assign(sums?.get({ name: 'a', group: 1n }) ?? {}, { sum: 2n }), true),
    ).toThrow(TypeError)
  })

  test('of a fold that throws is discarded', () => {
    const state = stateOf()
    const key = { name: 'a', group: 1n }
    expect(() =>
      state.attempt(({ sums }) => {
        sums?.set({ ...key, sum: 1n })
        throw new Error('no')
      }, true),
    ).toThrow('no')
    let seen: unknown = 'nothing'
    state.attempt(({ sums }) => {
      seen = sums?.get(key)
    }, true)
    expect(seen).toBeUndefined()
  })
})
