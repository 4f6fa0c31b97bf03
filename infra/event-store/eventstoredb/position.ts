import { Failure } from '../../../domain/errors.ts'
import type { Position } from '../port.ts'
import { createEpochs, type Epoch, partsOfPosition, positionDigitCount, storePrefixes } from '../position.ts'

/** A position in the server's log, in bytes. `prepare` is never above `commit`; it is 0 for a checkpoint between two
 *  events. */
export type LogPosition = { readonly commit: bigint; readonly prepare: bigint }

export type LogPositions = {
  readonly start: Position
  of(position: LogPosition): Position
  /** Parses a position. Throws POSITION_FOREIGN when this store did not make it. */
  partsOf(position: string): LogPosition
  /** Returns the distance in bytes of the server's log. */
  distance(from: string, to: string): number
}

/** One below the largest position of the server, which stands for the end of its log. */
const commitMax = 2n ** 63n - 2n

/** Returns the parts of a position of this engine, whichever store made it; undefined for another engine. */
export const partsOfAny = (position: string): LogPosition | undefined => {
  const parts = position.startsWith(storePrefixes.eventStoreDb) ? partsOfPosition(position, 2) : undefined
  const [commit, prepare] = parts?.numbers ?? []
  return commit === undefined || prepare === undefined ? undefined : { commit, prepare }
}

/** Returns the positions of one store: `<store>-<20 digits>-<20 digits>`, commit and prepare, with an epoch before the
 *  digits after an adoption. They contain the id of the store, so that a position of another store is refused. */
export const logPositionsOf = (store: string, epochs: readonly Epoch[] = []): LogPositions => {
  const { partOf, check } = createEpochs(epochs)
  const prefix = `${store}-`
  const padded = (part: bigint) => String(part).padStart(positionDigitCount, '0')
  const of = ({ commit, prepare }: LogPosition) =>
    `${prefix}${partOf(commit)}${padded(commit)}-${padded(prepare)}` as Position
  const partsOf = (position: string): LogPosition => {
    const parts = partsOfPosition(position, 2)
    const [commit, prepare] = parts?.store === store ? parts.numbers : []
    if (commit === undefined || prepare === undefined || commit > commitMax || prepare > commit)
      throw new Failure('POSITION_FOREIGN', { position, store })
    check(parts?.epoch ?? '', commit, position)
    return { commit, prepare }
  }
  return {
    start: of({ commit: 0n, prepare: 0n }),
    of,
    partsOf,
    distance: (from, to) => Number(partsOf(to).commit - partsOf(from).commit),
  }
}

/** Returns true when the first position is later in the log than the second. */
export const isBeyond = (one: LogPosition, other: LogPosition): boolean =>
  one.commit > other.commit || (one.commit === other.commit && one.prepare > other.prepare)
