import { withoutTrailing } from './text.ts'

/** Money is a whole number of minor units of one asset. The name of the asset ends in its decimals: USDC/6 counts
 *  millionths. */
export const assets = ['USDC/6', 'NMESH/18', 'ETH/18', 'USD/2'] as const
export type Asset = (typeof assets)[number]
export type Money = { readonly amount: bigint; readonly asset: Asset }

const secondsPerHour = 3600n

/** Returns an amount of minor units of an asset. */
export const money = (amount: bigint, asset: Asset): Money => ({ amount, asset })

/** Returns the number of decimals of an asset: 6 for USDC/6. */
export const decimalsOf = (asset: Asset): number => Number(asset.slice(asset.indexOf('/') + 1))

/** Returns the asset of both. Throws when the assets differ: dollars cannot be added to ether. */
const sameAsset = (a: Money, b: Money): Asset => {
  if (a.asset !== b.asset) throw new Error(`${a.asset} and ${b.asset} do not mix`)
  return a.asset
}

/** Returns a + b. Throws when the assets differ. */
export const add = (a: Money, b: Money): Money => money(a.amount + b.amount, sameAsset(a, b))
/** Returns a - b. Throws when the assets differ. */
export const subtract = (a: Money, b: Money): Money => money(a.amount - b.amount, sameAsset(a, b))
/** Returns the amount times a whole number. */
export const times = (a: Money, factor: bigint): Money => money(a.amount * factor, a.asset)

/** Returns whether `a` is more than `b`. Throws when the assets differ. */
export const exceeds = (a: Money, b: Money): boolean => {
  sameAsset(a, b)
  return a.amount > b.amount
}

/** Returns what `seconds` cost at a price per hour, rounded down. Charge the whole run with it, less what was
 *  charged before: then the total does not depend on how often the rental is metered. */
export const costOf = (pricePerHour: Money, seconds: bigint): Money =>
  money((pricePerHour.amount * seconds) / secondsPerHour, pricePerHour.asset)

/** Returns the most that `seconds` can cost at a price per hour, rounded up: what is held covers each charge, and is at
 *  least one minor unit where the price is above zero. */
export const costAtMost = (pricePerHour: Money, seconds: bigint): Money =>
  money((pricePerHour.amount * seconds + secondsPerHour - 1n) / secondsPerHour, pricePerHour.asset)

/** How long the text of an amount may be: 30 whole digits, a point and 30 decimals, with some room for spaces. */
export const amountCharactersMax = 80

const wholeDigitsMax = 30

/** Returns what `parseAmount` reads, in words. */
export const amountWords = (asset: Asset): string =>
  `a plain decimal number of ${asset}, with at most ${wholeDigitsMax} digits before the point and ${decimalsOf(asset)} after it`

/** Returns "2.65" of USDC/6 as 2650000n. Returns undefined for a text that is no plain decimal, finer than the asset, or
 *  longer than 80 characters. */
export const parseAmount = (text: string, asset: Asset): Money | undefined => {
  if (text.length > amountCharactersMax) return undefined
  const match = /^(\d{1,30})(?:\.(\d+))?$/.exec(text.trim())
  if (!match) return undefined
  const decimals = decimalsOf(asset)
  const fraction = withoutTrailing(match[2] ?? '', '0')
  if (fraction.length > decimals) return undefined
  return money(BigInt(`${match[1]}${fraction.padEnd(decimals, '0')}`), asset)
}

/** Returns 2650000n of USDC/6 as "2.65". Whole units have no decimal point. */
export const formatAmount = ({ amount, asset }: Money): string => {
  const decimals = decimalsOf(asset)
  const digits = (amount < 0n ? -amount : amount).toString().padStart(decimals + 1, '0')
  const fraction = withoutTrailing(digits.slice(digits.length - decimals), '0')
  const whole = digits.slice(0, digits.length - decimals)
  return `${amount < 0n ? '-' : ''}${whole}${fraction ? `.${fraction}` : ''}`
}

/** Returns an amount with its asset: "2.65 USDC". */
export const formatMoney = (value: Money): string =>
  `${formatAmount(value)} ${value.asset.slice(0, value.asset.indexOf('/'))}`
