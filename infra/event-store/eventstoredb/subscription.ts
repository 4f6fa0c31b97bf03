import { isFailure } from '../../../domain/errors.ts'
import { createBackoff } from '../../async/backoff.ts'
import { unlessAborted } from '../../async/signal.ts'
import type { Batch, StoredEvent, SubscribeOptions } from '../port.ts'
import type { Connection } from './client.ts'
import { storeUnavailable } from './errors.ts'
import { type ServerEvent, toStored } from './events.ts'
import { passes, serverFilter } from './filter.ts'
import { isBeyond, type LogPosition, type LogPositions } from './position.ts'
import type { ReadItem } from './read-messages.ts'
import type { ServerSubscription } from './server-subscription.ts'

const batchSizeDefault = 500
/** A batch ends with the event that reaches so many bytes in memory. */
const batchBytesMax = 8 * 1024 * 1024
/** How many events the server scans between two checkpoints. Live it is one: otherwise the position of a subscriber
 *  with few matching events would not advance for so many other events. */
const windowCatchingUp = 500
const windowLive = 1
/** After so many items without a pause, a live subscription is far behind, and catches up again. */
const liveItemsMax = 2_000
/** How long a batch that is not full waits for more events while catching up. */
const lingerMs = 100
/** After so long without an item, a live subscription is compared with the log: a node that is cut off from the others
 *  keeps it open. */
const idleMsDefault = 5_000
const retryDelay = { minMs: 50, maxMs: 2_000 }

const origin: LogPosition = { commit: 0n, prepare: 0n }
const laterOf = (one: LogPosition, other: LogPosition | undefined) => (other && isBeyond(other, one) ? other : one)

type Options = {
  readonly connection: Connection
  /** Resolves to the position of the last event of this log, which is known then; to undefined when there is none. */
  readonly head: () => Promise<LogPosition | undefined>
  /** Returns whether the process knows an event of this log at a position or beyond it. */
  readonly isKnown: (position: LogPosition) => boolean
  readonly positions: LogPositions
  /** Called with each event that carries our mark and is not ours. */
  readonly onStrange: (event: ServerEvent) => void
  /** Called with each error that is retried. */
  readonly onRetry?: ((error: unknown) => void) | undefined
  readonly idleMs?: number | undefined
}

export type Tail = { subscribe(options: SubscribeOptions): AsyncGenerator<Batch>; close(): void }

/** Creates the source of all subscriptions of the store. Each uses a subscription of the server, which filters
 *  there: first one with large windows until it has caught up, then a live one with a checkpoint after each event.
 *  When the server drops one, the next starts where that one was. */
export const createTail = (options: Options): Tail => {
  const { connection, head, isKnown, positions, onStrange, onRetry = () => undefined, idleMs = idleMsDefault } = options
  const closing = new AbortController()

  async function* subscribe(asked: SubscribeOptions) {
    const { signal: callerSignal, batchSize = batchSizeDefault, readAhead = true, ...options } = asked
    const signal = AbortSignal.any([callerSignal, closing.signal])
    const batchMax = Math.max(1, batchSize)
    const isFiltered = options.types !== undefined || Boolean(options.streamPrefix)
    const filter = serverFilter(options)
    /** How far the caller has come, never beyond the last event of this log that is known: a log that is put back to before
     *  what other programs have written since lacks none of ours, and what follows in it may begin before them. */
    let delivered = options.after === undefined ? origin : positions.partsOf(options.after)
    /** Where the server's log is read on. This is beyond `delivered` by the events of other programs: a subscription that
     *  began there again would read them again and again. */
    let scanned = delivered
    /** How far was looked whether the caller has come further: at `delivered`, or at events of others behind it. */
    let looked = scanned
    let link = connection.link()
    /** Reads on behind the last event of ours where the connection is a new one: the log may have been put back to before
     *  what others had written. */
    const distrustNewConnection = () => {
      const now = connection.link()
      if (now === undefined || now !== link) {
        scanned = delivered
        looked = delivered
      }
      link = now
    }

    /** Resolves to the head of the log when no event after the position passes the filter, else to the position. The
     *  server sends no checkpoint for the events on its last page before it caught up. */
    const advanceToHead = async (from: LogPosition): Promise<LogPosition> => {
      const look = async () => {
        const end = await head()
        if (end === undefined || !isBeyond(end, from)) return from
        // Two events: the first may be the one at this very position.
        const { events: next } = await connection.readAll('forwards', from.commit === 0n ? 'start' : from, 2, filter)
        const isPending = ({ position }: ServerEvent) =>
          position !== undefined && isBeyond(position, from) && !isBeyond(position, end)
        return next.some(isPending) ? from : end
      }
      return (await unlessAborted(look(), signal)) ?? from
    }

    /** Yields batches until it has caught up with the log, or, when live, until it has fallen far behind. */
    async function* readBatches(isLive: boolean): AsyncGenerator<Batch> {
      distrustNewConnection()
      const end = isLive ? undefined : await unlessAborted(head(), signal)
      if (!isLive && (end === undefined || !isBeyond(end, scanned))) return
      const subscription: ServerSubscription = connection.subscribe(
        scanned.commit === 0n ? 'start' : scanned,
        filter,
        isLive ? windowLive : windowCatchingUp,
        readAhead,
      )
      const isAhead = isBeyond(scanned, delivered)
      /** Throws DATABASE_UNAVAILABLE when it began behind the last event of ours, and over another connection than the one
       *  that has shown what is there. */
      const assertSameConnection = () => {
        if (isAhead && connection.link() !== link)
          throw storeUnavailable('the subscription began over another connection')
      }
      let events: StoredEvent[] = []
      let bytes = 0
      const hasAdvanced = () => isFiltered && isBeyond(scanned, looked)
      const flush = (): Batch => {
        const last = events.at(-1)
        if (last) delivered = laterOf(delivered, positions.partsOf(last.position))
        const batch = { events, position: positions.of(delivered), bytes }
        events = []
        bytes = 0
        return batch
      }
      /** Advances to how far the log was read, where that is beyond the last event that passed the filter. */
      const advance = async (): Promise<void> => {
        const last = events.at(-1)
        const read = last ? positions.partsOf(last.position) : delivered
        if (hasAdvanced() && isBeyond(scanned, read)) {
          const end = isKnown(scanned) ? scanned : ((await unlessAborted(head(), signal)) ?? origin)
          delivered = laterOf(delivered, isBeyond(scanned, end) ? end : scanned)
        }
        looked = scanned
      }
      const accept = (item: ReadItem): void => {
        if (item.kind === 'checkpoint') scanned = laterOf(scanned, item.position)
        if (item.kind !== 'event' || !item.event.position || !isBeyond(item.event.position, scanned)) return
        const stored = passes(options, item.event) ? toStored(item.event, positions, onStrange) : undefined
        scanned = item.event.position
        if (!stored) return
        events.push(stored)
        bytes += item.bytes
      }
      let wasBehind = false
      /** Throws DATABASE_UNAVAILABLE when the log has gone on, twice in a row, and nothing has come. */
      const compareWithLog = async () => {
        const end = await unlessAborted(head(), signal)
        const isBehind = end !== undefined && isBeyond(end, scanned)
        if (isBehind && wasBehind) throw storeUnavailable('the subscription is behind the log, and nothing comes')
        wasBehind = isBehind
      }
      let arrived: readonly ReadItem[] = []
      let nextArrived = 0
      try {
        for (let itemsInARow = 0; !signal.aborted; itemsInARow += 1) {
          const hasBatch = events.length > 0 || hasAdvanced()
          if (arrived.length === nextArrived) {
            const ms = hasBatch ? (isLive ? 0 : lingerMs) : idleMs
            arrived = (await subscription.next({ ms, signal })) ?? []
            nextArrived = 0
            assertSameConnection()
            if (arrived.length > 0) wasBehind = false
            else if (!hasBatch && !signal.aborted) await compareWithLog()
          }
          const item = arrived[nextArrived]
          if (item) nextArrived += 1
          if (item) accept(item)
          else itemsInARow = 0
          const caughtUp = !isLive && (item?.kind === 'caught up' || (end !== undefined && !isBeyond(end, scanned)))
          if (caughtUp) scanned = laterOf(scanned, end)
          if (isLive && isFiltered && item?.kind === 'caught up') scanned = await advanceToHead(scanned)
          const isPause = !item || caughtUp || (!isLive && isFiltered && item.kind === 'checkpoint')
          if (
            events.length >= batchMax ||
            bytes >= batchBytesMax ||
            (isPause && (events.length > 0 || hasAdvanced()))
          ) {
            const before = delivered
            await advance()
            if (events.length > 0 || isBeyond(delivered, before)) yield flush()
          }
          if (caughtUp || (isLive && itemsInARow > liveItemsMax && events.length === 0)) return
        }
      } catch (error) {
        // The events that came before the server dropped the subscription are valid.
        if (events.length > 0 && !signal.aborted) yield flush()
        throw error
      } finally {
        subscription.close()
      }
    }

    const backoff = createBackoff(retryDelay)
    for (let isLive = false; !signal.aborted; ) {
      try {
        for await (const batch of readBatches(isLive)) {
          backoff.reset()
          yield batch
          if (signal.aborted) return
        }
        isLive = !isLive
      } catch (error) {
        if (signal.aborted) return
        // A position of another log stays that, and another log too; whatever else the server answers with may be over soon.
        if (isFailure(error, 'POSITION_FOREIGN') || isFailure(error, 'LOG_REPLACED')) throw error
        onRetry(error)
        isLive = false
        await backoff.pause(signal)
      }
    }
  }

  return { subscribe, close: () => closing.abort() }
}
