import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createTestDatabase } from '../../testing/servers/database.ts'
import type { Database } from '../postgres.ts'
import { type Fields, literalOf } from './copy.ts'

let database: Database
let drop: () => Promise<void>
beforeAll(async () => {
  const made = await createTestDatabase()
  drop = made.drop
  // One connection: a statement that leaves it in disorder fails the next one.
  database = made.connect({ poolSize: 1 })
})
afterAll(() => drop())

const copy = <Row>(select: string, decode: (fields: Fields) => Row) =>
  database.query<Row>('spec', select, [], { decode })
const isInOrder = async () => expect(await database.query('spec', 'select 1 as one')).toEqual([{ one: 1 }])

test('rows are decoded field by field, however large and however many', async () => {
  const id = '0192f0a1-9c3e-8abc-9def-0123456789ab'
  const select = `select n::int8 - 2, '${id}'::uuid, repeat('ü🦆', 40000) || n from generate_series(1, 300) n order by n`
  const rows = await copy(select, (fields) => [fields.int8(), fields.uuid(), fields.text()])
  expect(rows).toHaveLength(300)
  for (const [index, row] of rows.entries())
    expect(row).toEqual([BigInt(index) - 1n, id, `${'ü🦆'.repeat(40_000)}${index + 1}`])
  await isInOrder()
})

test('no rows are decoded when there are none', async () => {
  expect(await copy('select 1::int8 where false', (fields) => fields.int8())).toEqual([])
  await isInOrder()
})

test('what a decoder throws reaches the caller, and the connection stays usable', async () => {
  let decoded = 0
  const decode = () => {
    decoded += 1
    throw new Error('not to be read')
  }
  await expect(copy('select n::int8 from generate_series(1, 5000) n', decode)).rejects.toThrow('not to be read')
  expect(decoded).toBe(1)
  await isInOrder()
})

test('an error in the middle of the rows reaches the caller, and the connection stays usable', async () => {
  await expect(
    copy('select 1 / (3 - n)::int8 from generate_series(1, 5) n', (fields) => fields.int8()),
  ).rejects.toThrow('division by zero')
  await isInOrder()
})

test('values are written as literals of SQL', async () => {
  const texts = [`o'brien`, 'a\\b', '"', '{a,b}', 'ü🦆', '']
  const select = `select unnest(${literalOf(texts)}::text[])`
  expect(await copy(select, (fields) => fields.text())).toEqual(texts)
  expect(await copy(`select unnest(${literalOf([])}::text[])`, (fields) => fields.text())).toEqual([])
  for (const text of texts)
    expect(await copy(`select ${literalOf(text)}::text`, (fields) => fields.text())).toEqual([text])
  expect(await copy(`select ${literalOf(-(2n ** 63n))}::bigint`, (fields) => fields.int8())).toEqual([-(2n ** 63n)])
})
