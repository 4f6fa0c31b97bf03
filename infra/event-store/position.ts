import { Failure } from '../../domain/errors.ts'
import type { Position } from './port.ts'

/** Twenty digits hold every bigint of a database, and every position of an EventStoreDB server. Padded to one length,
 *  positions sort as text as they sort as numbers. */
export const positionDigitCount = 20
/** One below the largest bigint of the database: reads compute the position after it. */
const numberMax = 2n ** 63n - 2n

export type Positions = {
  readonly start: Position
  /** Returns the position of the n-th event, counted from 1; also accepts the digits as a database returns them. */
  of(number: bigint | string): Position
  /** Returns the number in a position. Throws POSITION_FOREIGN when this store did not make it. */
  numberOf(position: string): bigint
  distance(from: string, to: string): number
}

/** Returns the positions of one store: `<store>-<20 digits>`. They contain the id of the store, so that a position
 *  of another store is refused. */
export const positionsOf = (store: string): Positions => {
  const prefix = `${store}-`
  const of = (number: bigint | string) => `${prefix}${String(number).padStart(positionDigitCount, '0')}` as Position
  const numberOf = (position: string) => {
    const digits = position.startsWith(prefix) ? position.slice(prefix.length) : ''
    const number = digits.length === positionDigitCount && /^\d+$/.test(digits) ? BigInt(digits) : -1n
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
