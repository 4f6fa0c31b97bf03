import { Failure } from '../../domain/errors.ts'
import type { Position } from './port.ts'

/** Twenty digits hold every bigint of a database, and padded to one length they sort as text the way they sort as numbers. */
const digitsOf = 20
/** One below the largest of the database, which must still be able to look beyond it. */
const numberMax = 2n ** 63n - 2n

export type Positions = {
  readonly start: Position
  /** The position of the n-th event, counted from 1; takes the digits as they come from a database too. */
  of(number: bigint | string): Position
  /** Throws POSITION_FOREIGN when another store made it, or none. */
  numberOf(position: string): bigint
  distance(from: string, to: string): number
}

/** Positions of one store: `<store>-<20 digits>`. The store's own id is in it, so that one of another store is refused by name. */
export const positionsOf = (store: string): Positions => {
  const prefix = `${store}-`
  const of = (number: bigint | string) => `${prefix}${String(number).padStart(digitsOf, '0')}` as Position
  const numberOf = (position: string) => {
    const digits = position.startsWith(prefix) ? position.slice(prefix.length) : ''
    const number = digits.length === digitsOf && /^\d+$/.test(digits) ? BigInt(digits) : -1n
    if (number < 0n || number > numberMax) throw new Failure('POSITION_FOREIGN', { position, store })
    return number
  }
  return {
    start: of(0n),
    of,
    numberOf,
    distance: (from, to) => Number(numberOf(to) - numberOf(from)),
  }
}
