import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { usd, usdc } from './money.testing.ts'
import {
  add,
  assets,
  costAtMost,
  costOf,
  decimalsOf,
  exceeds,
  formatAmount,
  formatMoney,
  money,
  parseAmount,
  subtract,
  times,
} from './money.ts'

const anyAsset = fc.constantFrom(...assets)
const anyAmount = fc.bigInt(-(10n ** 30n), 10n ** 30n)

describe('sums', () => {
  test('add, subtract and multiply keep the asset', () => {
    expect(add(usdc(2n), usdc(3n))).toStrictEqual(usdc(5n))
    expect(subtract(usdc(2n), usdc(3n))).toStrictEqual(usdc(-1n))
    expect(times(usdc(2n), 3n)).toStrictEqual(usdc(6n))
  })
  test.each([add, subtract, exceeds])('%p refuses to mix assets', (operation) =>
    expect(() => operation(usdc(1n), usd(1n))).toThrow('USDC/6 and USD/2 do not mix'),
  )
  test('only more exceeds', () => {
    expect(exceeds(usdc(2n), usdc(1n))).toBe(true)
    expect(exceeds(usdc(1n), usdc(1n))).toBe(false)
    expect(exceeds(usdc(0n), usdc(1n))).toBe(false)
  })
})

describe('cost', () => {
  test.each([
    [1000n, 3600n, 1000n],
    [1000n, 7n, 1n],
    [3599n, 1n, 0n],
    [3600n, 1n, 1n],
    [1000n, 0n, 0n],
  ])('%s an hour for %s s is %s', (price, seconds, cost) =>
    expect(costOf(usdc(price), seconds)).toStrictEqual(usdc(cost)),
  )
  test('is the floor: never more than owed, and less than one minor unit below', () =>
    fc.assert(
      fc.property(fc.bigInt(0n, 10n ** 24n), fc.bigInt(0n, 10n ** 9n), (price, seconds) => {
        const cost = costOf(usdc(price), seconds).amount
        expect(cost * 3600n <= price * seconds && price * seconds < (cost + 1n) * 3600n).toBe(true)
      }),
    ))
  test('at most is no less than is owed, less than one minor unit above, and something for each price above zero', () =>
    fc.assert(
      fc.property(fc.bigInt(0n, 10n ** 24n), fc.bigInt(0n, 10n ** 9n), (price, seconds) => {
        const most = costAtMost(usdc(price), seconds).amount
        expect((most - 1n) * 3600n < price * seconds && price * seconds <= most * 3600n).toBe(true)
        expect(most > 0n).toBe(price > 0n && seconds > 0n)
      }),
    ))
})

describe('text', () => {
  test.each([
    ['USDC/6', 6],
    ['NMESH/18', 18],
    ['ETH/18', 18],
    ['USD/2', 2],
  ] as const)('%s has %s decimals', (asset, decimals) => expect(decimalsOf(asset)).toBe(decimals))
  test.each([
    ['2.65', 2_650_000n],
    ['2', 2_000_000n],
    ['002.5', 2_500_000n],
    [' 0.000001 ', 1n],
    ['2.65000000000', 2_650_000n],
    [`${'9'.repeat(30)}`, (10n ** 30n - 1n) * 1_000_000n],
  ])('reads "%s"', (text, amount) => expect(parseAmount(text, 'USDC/6')).toStrictEqual(usdc(amount)))
  test.each(['', '.', '.5', '2.', '-1', '+1', '1e3', '0x1', '1,5', '1 000', '0.0000001', '9'.repeat(31), 'Infinity'])(
    'does not read "%s"',
    (text) => expect(parseAmount(text, 'USDC/6')).toBeUndefined(),
  )
  test.each([
    [2_650_000n, '2.65'],
    [2_000_000n, '2'],
    [1n, '0.000001'],
    [0n, '0'],
    [-2_650_000n, '-2.65'],
    [-1n, '-0.000001'],
  ])('writes %s', (amount, text) => expect(formatAmount(usdc(amount))).toBe(text))
  test('writes the asset without its decimals', () => {
    expect(formatMoney(usdc(2_650_000n))).toBe('2.65 USDC')
    expect(formatMoney(money(10n ** 18n, 'NMESH/18'))).toBe('1 NMESH')
  })
  test('reads back what it writes', () =>
    fc.assert(
      fc.property(anyAsset, anyAmount, (asset, amount) => {
        const positive = amount < 0n ? -amount : amount
        const value = money(positive, asset)
        expect(parseAmount(formatAmount(value), asset)).toStrictEqual(value)
        if (amount < 0n) expect(formatAmount(money(amount, asset))).toBe(`-${formatAmount(value)}`)
      }),
    ))
})
