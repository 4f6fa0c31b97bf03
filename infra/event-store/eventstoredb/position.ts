import { Failure } from '../../../domain/errors.ts'
import type { Position } from '../port.ts'

/** A place in the server's log, in bytes. `prepare` is never above `commit`; a checkpoint between two events has 0 there. */
export type LogPosition = { readonly commit: bigint; readonly prepare: bigint }

export type LogPositions = {
  readonly start: Position
  of(position: LogPosition): Position
  /** Throws POSITION_FOREIGN when another store made it, or none. */
  partsOf(position: string): LogPosition
  /** In bytes of the server's log. */
  distance(from: string, to: string): number
}

/** Twenty digits hold every position of the server, and padded to one length they sort as text the way they sort as numbers. */
const digitsOf = 20
/** One below the largest that the server takes, which stands for the end of its log. */
const commitMax = 2n ** 63n - 2n

/** Positions of one store: `<store>-<20 digits>-<20 digits>`, commit and prepare. The store's own id is in it, so that one of
 *  another store is refused by name. */
export const logPositionsOf = (store: string): LogPositions => {
  const prefix = `${store}-`
  const shape = new RegExp(`^(\\d{${digitsOf}})-(\\d{${digitsOf}})$`)
  const padded = (part: bigint) => String(part).padStart(digitsOf, '0')
  const of = ({ commit, prepare }: LogPosition) => `${prefix}${padded(commit)}-${padded(prepare)}` as Position
  const partsOf = (position: string): LogPosition => {
    const found = position.startsWith(prefix) ? shape.exec(position.slice(prefix.length)) : null
    const [commit, prepare] = found?.slice(1).map(BigInt) ?? []
    if (commit === undefined || prepare === undefined || commit > commitMax || prepare > commit)
      throw new Failure('POSITION_FOREIGN', { position, store })
    return { commit, prepare }
  }
  return {
    start: of({ commit: 0n, prepare: 0n }),
    of,
    partsOf,
    distance: (from, to) => Number(partsOf(to).commit - partsOf(from).commit),
  }
}

export const isBeyond = (one: LogPosition, other: LogPosition): boolean =>
  one.commit > other.commit || (one.commit === other.commit && one.prepare > other.prepare)
