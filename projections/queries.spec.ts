import { describe, expect, test } from '@jest/globals'
import type { ReadModels } from './database.ts'
import { findAll, findByIds, findOne } from './queries.ts'

/** Creates read models with the rows a and b. Each query is recorded as its label with the requested ids. */
const createReadModels = () => {
  const asked: (readonly [label: string, ids: readonly string[]])[] = []
  const run = async (label: string, query: (label: never) => Promise<unknown>) => query(label as never)
  const read = { run } as unknown as ReadModels
  const select = (db: unknown) => ({
    where: (_column: string, _operator: string, ids: readonly string[]) => {
      asked.push([db as string, ids])
      return select(db)
    },
    execute: async () => [{ id: 'b' }, { id: 'a' }],
  })
  return { read, select, asked }
}

describe('finding rows by id', () => {
  test('asks once for each id and answers in the order asked', async () => {
    const { read, select, asked } = createReadModels()
    const found = await findByIds('rows.find', select)(read, ['a', 'x', 'b', 'a'])
    expect(found).toEqual([{ id: 'a' }, undefined, { id: 'b' }, { id: 'a' }])
    expect(asked).toEqual([['rows.find', ['a', 'x', 'b']]])
  })

  test('asks nothing for no ids', async () => {
    const { read, select, asked } = createReadModels()
    expect(await findByIds('rows.find', select)(read, [])).toEqual([])
    expect(asked).toEqual([])
  })

  test('finds one row with the same query, or nothing', async () => {
    const { read, select, asked } = createReadModels()
    const find = findOne(findByIds('rows.find', select))
    expect(await find(read, 'a')).toEqual({ id: 'a' })
    expect(await find(read, 'x')).toBeUndefined()
    expect(await Promise.all(['b', 'x', 'b', 'a'].map((id) => find(read, id)))).toMatchObject([
      { id: 'b' },
      undefined,
      { id: 'b' },
      { id: 'a' },
    ])
    expect(asked).toEqual([
      ['rows.find', ['a']],
      ['rows.find', ['x']],
      ['rows.find', ['b', 'x', 'a']],
    ])
  })
})

describe('reading all rows by id', () => {
  test.each([
    [0, [0]],
    [999, [999]],
    [1_000, [1_000, 0]],
    [2_500, [1_000, 1_000, 500]],
  ])('of %d reads pages until one is not full, each after the last id', async (count, pages) => {
    const rows = Array.from({ length: count }, (_, index) => ({ id: String(index).padStart(5, '0') }))
    const sizes: number[] = []
    const select = () => {
      let found = rows
      const query = {
        where: (_column: string, _operator: string, after: string) => {
          found = rows.filter(({ id }) => id > after)
          return query
        },
        orderBy: () => query,
        limit: (most: number) => {
          found = found.slice(0, most)
          return query
        },
        execute: async () => {
          sizes.push(found.length)
          return found
        },
      }
      return query
    }
    const { read } = createReadModels()
    expect(await findAll(read, 'rows.all', select)).toEqual(rows)
    expect(sizes).toEqual(pages)
  })
})
