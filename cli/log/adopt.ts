import { idOf } from '../../domain/aggregates.ts'
import { Failure } from '../../domain/errors.ts'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import { consumers } from '../../processes/names.ts'
import { rebuildAhead } from '../../projections/engine/ahead.ts'
import {
  identityStream,
  type KnownEvent,
  readConsumers,
  readCursors,
  readRentalTimers,
  removeTimer,
  requestRescan,
  setConsumer,
} from '../installation.ts'

/** What an adoption has done. `to` is where a consumer goes on; undefined stands for the beginning of the log. */
export type Adoption = {
  readonly epoch: string
  /** The last position of the log that was adopted. */
  readonly position: Position
  /** The events that were known before, and that the log does not have. */
  readonly lost: readonly KnownEvent[]
  readonly readModels: readonly { readonly name: string; readonly position: string }[]
  readonly consumers: readonly { readonly name: string; readonly position: string; readonly to: string | undefined }[]
  /** How many timers were removed whose rental the log does not have. */
  readonly timers: number
  readonly rescans: readonly { readonly contract: string; readonly from: bigint; readonly to: bigint }[]
}

type Dependencies = {
  readonly database: Pick<Database, 'query' | 'transaction'>
  /** The log with its new epoch. */
  readonly store: EventStore
  readonly epoch: string
  /** The events that were kept outside the log's database. */
  readonly kept: readonly KnownEvent[]
}

/** Sets back what is ahead of a log that has just been adopted: what reflects, or has handled, events that the log does
 *  not have. Read models are built anew. The sagas are run again from the beginning of the log, where all that they did
 *  stays as it is, and what was lost of it is done again. Deposits that the log may have lost are read from the chain
 *  again. Done twice, it does nothing more. */
export const setBackToLog = async ({ database, store, epoch, kept }: Dependencies): Promise<Adoption> => {
  const position = await store.head()
  const lost: KnownEvent[] = []
  // Each of the places has the same event, unless one of them was put back too.
  for (const event of new Map(kept.map((event) => [event.id, event])).values())
    if (!(await isThere(store, event))) lost.push(event)
  // Others have written to the log after it was put back: no position shows what was lost.
  const isHidden = lost.some((event) => !isBeyond(store, event.position, position))
  const isAhead = (stored: string) => isHidden || isBeyond(store, stored, position)

  const readModels = await rebuildAhead(database, isAhead)
  const behind: { name: string; position: string; to: string | undefined }[] = []
  for (const consumer of await readConsumers(database)) {
    if (!isAhead(consumer.position)) continue
    const to = consumer.name === consumers.processes ? undefined : position
    await setConsumer(database, consumer.name, to)
    behind.push({ ...consumer, to })
  }
  let timers = 0
  for (const { id, rental } of await readRentalTimers(database)) {
    if ((await firstOf(store, `rental-${rental}`)) !== undefined) continue
    await removeTimer(database, id)
    timers += 1
  }
  const isBehind = lost.length > 0 || readModels.length > 0 || behind.length > 0
  const rescans = isBehind ? await rescanDeposits(database, store) : []
  return { epoch, position, lost, readModels, consumers: behind, timers, rescans }
}

/** Returns a position of the log; undefined for one of another log, or of a part that was lost. */
const positionIn = (store: EventStore, stored: string): Position | undefined => {
  try {
    return store.parsePosition(stored)
  } catch (error) {
    if (error instanceof Failure) return undefined
    throw error
  }
}

/** Returns whether a position lies beyond the end of the log, or is not one of this log. */
const isBeyond = (store: EventStore, stored: string, end: Position): boolean => {
  const position = positionIn(store, stored)
  return position === undefined || position > end
}

const firstOf = async (store: EventStore, stream: string, from = 0n) => {
  for await (const event of store.readStream(stream, { from, limit: 1 })) return event
  return undefined
}

const isThere = async (store: EventStore, { stream, revision, id, position }: KnownEvent): Promise<boolean> => {
  // What a process knows that has seen no event yet. Each position has the id of its log.
  if (stream === identityStream) return positionIn(store, position) !== undefined
  return (await firstOf(store, stream, revision))?.id === id
}

/** Requests that the blocks are read again from the last one whose deposits the log has all. */
const rescanDeposits = async (database: Pick<Database, 'query'>, store: EventStore): Promise<Adoption['rescans']> => {
  const pending = new Map<string, bigint>()
  let last = 0n
  const types = ['DepositObserved', 'DepositFinalized', 'DepositVanished']
  for await (const { type, stream, data } of store.readAll({ types })) {
    if (type !== 'DepositObserved') pending.delete(idOf(stream))
    else {
      last = BigInt((data as { readonly blockNumber: string | number }).blockNumber)
      pending.set(idOf(stream), last)
    }
  }
  const from = [...pending.values()].reduce((least, block) => (block < least ? block : least), last)
  const rescans: { contract: string; from: bigint; to: bigint }[] = []
  for (const { name, block } of await readCursors(database)) {
    if (from > block) continue
    await requestRescan(database, { cursorName: name, by: 'cli:adopt', from, to: block })
    rescans.push({ contract: name, from, to: block })
  }
  return rescans
}
