import { describe, expect, test } from '@jest/globals'
import { integer, isReplay, moment, money, nullable, replay, table, text } from '../../analysis/replay.ts'
import { usdc } from '../../domain/money.testing.ts'
import { money as moneyOf } from '../../domain/money.ts'
import { decode, encode, normalize, sqlTypeOf } from './columns.ts'
import { loadReplay, schemaNameOf } from './load.ts'

const fold = { PriceChanged: () => undefined }
const prices = table({ key: { listing: text() }, columns: { changedAt: moment(), price: money('USDC/6') } })
const refusal = (reason: string) =>
  expect.objectContaining({ code: 'REPLAY_FILE_INVALID', details: expect.objectContaining({ reason }) })

describe('a replay', () => {
  test('names its tables and columns as the database does', () => {
    const { tables, types } = replay({ tables: { priceChanges: prices }, fold })
    expect(types).toEqual(['PriceChanged'])
    expect(tables).toMatchObject([{ property: 'priceChanges', name: 'price_changes', lookup: false }])
    expect(tables[0]?.columns.map(({ name }) => name)).toEqual(['listing', 'changed_at', 'price'])
    expect(tables[0]?.key.map(({ name }) => name)).toEqual(['listing'])
  })

  test.each([
    ['read.rentals', '"read.rentals" is no name: letters and digits, a letter first, at most 50'],
    ['x"; drop schema read cascade; --', expect.stringContaining('is no name')],
    ['größe', expect.stringContaining('is no name')],
    ['a'.repeat(51), expect.stringContaining('at most 50')],
  ])('cannot contain more than a name: %s', (name, reason) => {
    const withTable = () => replay({ tables: { [name]: prices }, fold })
    const withColumn = () => replay({ tables: { prices: table({ key: { [name]: text() }, columns: {} }) }, fold })
    for (const made of [withTable, withColumn]) expect(made).toThrow(refusal(reason as string))
  })

  test.each([
    [
      'an event that is none',
      { tables: { prices }, fold: { PriceForgotten: () => undefined } },
      'its fold names PriceForgotten, and there is no such event',
    ],
    ['no event', { tables: { prices }, fold: {} }, 'its fold names no event'],
    [
      'no table for its result',
      { tables: { prices: { ...prices, lookup: true } }, fold },
      'it has no table for its result',
    ],
    ['a table without a key', { tables: { prices: table({ key: {}, columns: {} }) }, fold }, 'table prices has no key'],
    [
      'money in a key',
      { tables: { prices: table({ key: { price: money('USD/2') }, columns: {} }) }, fold },
      'table prices has price in its key, which is null or money',
    ],
    [
      'null in a key',
      { tables: { prices: table({ key: { at: nullable(moment()) }, columns: {} }) }, fold },
      'table prices has at in its key, which is null or money',
    ],
    [
      'one name for two columns',
      { tables: { prices: table({ key: { gpuModel: text() }, columns: { gpu_model: text() } }) }, fold },
      'table prices has two columns gpu_model',
    ],
    [
      'one name for two tables',
      { tables: { gpuPrices: prices, gpu_prices: prices }, fold },
      'two tables are called gpu_prices',
    ],
  ])('is refused with %s', (_what, definition, reason) =>
    expect(() => replay(definition as Parameters<typeof replay>[0])).toThrow(refusal(reason)),
  )
})

test('an async fold is refused, because it would set rows after it has returned', () => {
  const { fold } = replay({ tables: { prices }, fold: { PriceChanged: async () => undefined } })
  const event = { type: 'PriceChanged', pricePerGpuHour: moneyOf(1n, 'USDC/6') } as const
  expect(() => fold({}, event, {} as Parameters<typeof fold>[2])).toThrow('async')
})

describe('a value of a column', () => {
  test.each([
    [text(), 'é', 'é'],
    [integer(), -(2n ** 62n), '-4611686018427387904'],
    [moment(), '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z'],
    [money('USDC/6'), usdc(3_650n), '0.003650'],
    [money('USDC/6'), usdc(-3_650n), '-0.003650'],
    [money('USDC/6'), usdc(10n ** 30n), '1000000000000000000000000.000000'],
    [nullable(money('USDC/6')), null, null],
  ])('%p comes back from the database as it went there', (column, value, stored) => {
    const settled = normalize(column, value)
    expect(settled).toEqual(value)
    const sent = encode(column, settled)
    if (column.kind === 'money' && sent !== null) expect(Number(sent)).toBe(Number(stored))
    else expect(sent).toBe(stored)
    expect(decode(column, stored)).toEqual(value)
  })

  test('has one form for one moment', () =>
    expect(normalize(moment(), '2026-01-01T00:00:00Z')).toBe('2026-01-01T00:00:00.000Z'))
  test.each([
    [money('USDC/6'), moneyOf(1n, 'USD/2')],
    [moment(), 'yesterday'],
    [moment(), '2026-01-01'],
    [integer(), 1],
  ])('of another kind is none: %p', (column, value) => expect(normalize(column, value)).toBeUndefined())
  test('is exact in the database too', () => {
    expect(sqlTypeOf(money('ETH/18'))).toBe('numeric(115,18) not null')
    expect(sqlTypeOf(nullable(integer()))).toBe('bigint')
  })
})

describe('a file', () => {
  test('gives its default export', async () =>
    expect(isReplay(await loadReplay('analysis/revenue-by-gpu.ts'))).toBe(true))
  test.each([
    ['no-such-file.ts', 'there is no such file'],
    ['analysis', 'it is a folder'],
    ['domain/money.ts', 'its default export is not made by replay(…)'],
    ['README.md', expect.stringContaining('it does not load')],
  ])('%s is refused', async (file, reason) => {
    await expect(loadReplay(file)).rejects.toMatchObject({ code: 'REPLAY_FILE_INVALID', details: { file, reason } })
  })
  test('names the schema', () => {
    expect(schemaNameOf('analysis/revenue-by-gpu.ts')).toBe('replay_revenue_by_gpu')
    expect(schemaNameOf(`/x/${'Größe '.repeat(20)}.ts`)).toMatch(/^replay_[a-z0-9_]{43}$/)
  })
})
