import { Failure } from '../../domain/errors.ts'
import type { Position } from './port.ts'

/** Twenty digits hold every bigint of a database, and every position of an EventStoreDB server. Padded to one length,
 *  positions sort as text as they sort as numbers. */
export const positionDigitCount = 20
/** One below the largest bigint of the database: reads compute the position after it. */
const numberMax = 2n ** 63n - 2n

/** How the ids of stores of each engine begin, and so their positions. */
export const storePrefixes = { postgres: 'pg-', eventStoreDb: 'esdb-' } as const

/** The one internal stream of the engine on EventStoreDB: it holds the id of the store. The port never returns its events. */
export const identityStream = 'neuralmesh-event-store'

/** What follows in a log that was put back to an earlier state and adopted. `name` is in the text of each position
 *  `after` the last event that the log still had, which has the number of a position. */
export type Epoch = { readonly name: string; readonly after: bigint }

/** Returns the name of an epoch that begins now: `e` and the milliseconds since 1970, so that it sorts above the digits of
 *  a position without an epoch, and above the epochs before, whatever the clock shows.
 *  @param before names of epochs, and positions; what is neither counts for nothing. */
export const nextEpochName = (nowMs: number, before: readonly string[]): string => {
  const moments = before.map((text) => Number(/(?:^|-)e(\d{13})(?:$|-)/.exec(text)?.[1] ?? 0))
  return `e${String(Math.max(nowMs, ...moments.map((moment) => moment + 1))).padStart(13, '0')}`
}

export type Epochs = {
  /** Returns the part of a position that names its epoch: nothing for what was there before the first adoption. */
  partOf(number: bigint): string
  /** Throws POSITION_FOREIGN when the part does not belong to the number: the event of this position was lost. */
  check(part: string, number: bigint, position: string): void
}

/** Returns how positions name their epoch. An event keeps its position through later adoptions: it has the epoch in which
 *  it was written. Each later epoch sorts above everything of those before, also above what those have lost.
 *  @param epochs in the order in which they began. */
export const createEpochs = (epochs: readonly Epoch[]): Epochs => {
  const partOf = (number: bigint): string => {
    for (let index = epochs.length - 1; index >= 0; index -= 1) {
      const epoch = epochs[index]
      if (epoch && number > epoch.after) return `${epoch.name}-`
    }
    return ''
  }
  return {
    partOf,
    check: (part, number, position) => {
      if (part === partOf(number)) return
      throw new Failure('POSITION_FOREIGN', {
        position,
        reason: 'the log was put back to an earlier state, and has lost the events of this position',
      })
    },
  }
}

/** Returns whether a log has lost the event of a position, and was adopted since: its loss is known. */
export const isLossKnown = (
  position: string,
  groups: 1 | 2,
  { store, epochs }: { readonly store: string; readonly epochs: readonly Epoch[] },
): boolean => {
  const parts = partsOfPosition(position, groups)
  const [number] = parts?.numbers ?? []
  if (parts?.store !== store || number === undefined) return false
  return parts.epoch !== createEpochs(epochs).partOf(number) && epochs.some(({ name }) => `${name}-` > parts.epoch)
}

/** Returns the parts of a position of any store of an engine: the store, its epoch with a hyphen or nothing, the digits. */
export const partsOfPosition = (
  text: string,
  groups: 1 | 2,
): { readonly store: string; readonly epoch: string; readonly numbers: readonly bigint[] } | undefined => {
  const shape = groups === 1 ? /^(.+?)-(e\d{13}-)?(\d{20})$/ : /^(.+?)-(e\d{13}-)?(\d{20})-(\d{20})$/
  const found = shape.exec(text)
  if (!found) return undefined
  const [, store = '', epoch = '', ...digits] = found
  return { store, epoch, numbers: digits.map(BigInt) }
}

export type Positions = {
  readonly start: Position
  /** Returns the position of the n-th event, counted from 1; also accepts the digits as a database returns them. */
  of(number: bigint | string): Position
  /** Returns the number in a position. Throws POSITION_FOREIGN when this store did not make it, or has lost its event. */
  numberOf(position: string): bigint
  distance(from: string, to: string): number
}

/** Returns the positions of one store: `<store>-<20 digits>`, or `<store>-<epoch>-<20 digits>` after an adoption. They
 *  contain the id of the store, so that a position of another store is refused. */
export const positionsOf = (store: string, epochs: readonly Epoch[] = []): Positions => {
  const { partOf, check } = createEpochs(epochs)
  const prefix = `${store}-`
  const isPlain = epochs.length === 0
  const of = (number: bigint | string) => {
    const digits = String(number).padStart(positionDigitCount, '0')
    return `${prefix}${isPlain ? '' : partOf(BigInt(number))}${digits}` as Position
  }
  const numberOf = (position: string) => {
    const parts = partsOfPosition(position, 1)
    const [number = -1n] = parts?.store === store ? parts.numbers : []
    if (number < 0n || number > numberMax) throw new Failure('POSITION_FOREIGN', { position, store })
    check(parts?.epoch ?? '', number, position)
    return number
  }
  return {
    start: of(0n),
    of,
    numberOf,
    distance: (from, to) => Number(numberOf(to) - numberOf(from)),
  }
}
