import { createSignal, unlessAborted } from '../../async/signal.ts'
import type { Batch, StoredEvent, SubscribeOptions } from '../port.ts'
import { isUnavailable } from '../validation.ts'
import type { Connection } from './client.ts'
import { type ServerEvent, toStored } from './events.ts'
import { passes, serverFilter } from './filter.ts'
import type { Follow, Followed } from './follow.ts'
import { isBeyond, type LogPosition, type LogPositions } from './position.ts'
import type { Reader } from './reader.ts'

const batchSizeDefault = 500
/** While far behind, the server looks at so many events between two checkpoints; near the end at one: else the position of a
 *  subscriber to whom little passes would stand still for as many events of others. */
const windowFar = 500
const windowNear = 1
/** So many in a row without a pause, and a subscription near the end counts as far behind again. */
const nearMax = 2_000
/** How long a batch that is not full waits for more while catching up. */
const lingerMs = 100
const pauseMsMin = 50
const pauseMsMax = 2_000

const origin: LogPosition = { commit: 0n, prepare: 0n }
const later = (one: LogPosition, other: LogPosition | undefined) => (other && isBeyond(other, one) ? other : one)

type Options = { readonly connection: Connection; readonly reader: Reader; readonly positions: LogPositions }

export type Tail = { subscribe(options: SubscribeOptions): AsyncGenerator<Batch>; close(): void }

/** Catching up and following, both by a subscription of the server that filters there: one that goes in large steps until it says
 *  that it has caught up, then one that tells of each event. When one is dropped, the next begins where it was. */
export const createTail = ({ connection, reader, positions }: Options): Tail => {
  const closing = new AbortController()
  const bell = createSignal()

  async function* subscribe({ signal: asked, batchSize = batchSizeDefault, ...options }: SubscribeOptions) {
    const signal = AbortSignal.any([asked, closing.signal])
    const rowsMax = Math.max(1, batchSize)
    const isFiltered = options.types !== undefined || Boolean(options.streamPrefix)
    const filter = serverFilter(options)
    let given = options.after === undefined ? origin : positions.partsOf(options.after)

    /** How far nothing passes the filter. What the server looked at on its last page before it caught up, it tells in no checkpoint. */
    const furthest = async (seen: LogPosition): Promise<LogPosition> => {
      const look = async () => {
        const end = await reader.head()
        if (end === undefined || !isBeyond(end, seen)) return seen
        // Two: the first may be the one at this very position.
        const next = await connection.readAll('forwards', seen.commit === 0n ? 'start' : seen, 2, filter)
        const isWaited = ({ position }: ServerEvent) =>
          position !== undefined && isBeyond(position, seen) && !isBeyond(position, end)
        return next.some(isWaited) ? seen : end
      }
      return (await unlessAborted(look(), signal)) ?? seen
    }

    /** Gives batches until there is nothing further (`far`), or until there is too much (near). */
    async function* follow(far: boolean): AsyncGenerator<Batch> {
      const end = far ? await unlessAborted(reader.head(), signal) : undefined
      if (far && (end === undefined || !isBeyond(end, given))) return
      const from = given.commit === 0n ? 'start' : given
      const following: Follow = connection.follow(from, filter, far ? windowFar : windowNear)
      let events: StoredEvent[] = []
      let seen: LogPosition = given
      const flush = (): Batch => {
        const last = events.at(-1)
        // Who asked for all has the last event for a position: what the server has of its own lies in no log of the port.
        given = isFiltered || last === undefined ? seen : later(given, positions.partsOf(last.position))
        const batch = { events, position: positions.of(given) }
        events = []
        return batch
      }
      const take = (item: Followed): void => {
        if (item.kind === 'checkpoint') seen = later(seen, item.position)
        if (item.kind !== 'event' || !item.event.position || !isBeyond(item.event.position, seen)) return
        seen = item.event.position
        const stored = passes(options, item.event) ? toStored(item.event, positions) : undefined
        if (stored) events.push(stored)
      }
      try {
        for (let inARow = 0; !signal.aborted; inARow += 1) {
          const moved = isFiltered && isBeyond(seen, given)
          const waits = events.length > 0 || moved
          const item = await following.next(waits ? { ms: far ? lingerMs : 0, signal } : { signal })
          if (item) take(item)
          else inARow = 0
          const caughtUp = far && (item?.kind === 'caught up' || (end !== undefined && !isBeyond(end, seen)))
          if (caughtUp) seen = later(seen, end)
          if (!far && isFiltered && item?.kind === 'caught up') seen = await furthest(seen)
          const pause = !item || caughtUp || (far && isFiltered && item.kind === 'checkpoint')
          if (events.length >= rowsMax || (pause && (events.length > 0 || (isFiltered && isBeyond(seen, given)))))
            yield flush()
          if (caughtUp || (!far && inARow > nearMax && events.length === 0)) return
        }
      } catch (error) {
        // What came before the subscription was dropped counts.
        if (events.length > 0 && !signal.aborted) yield flush()
        throw error
      } finally {
        following.close()
      }
    }

    let pauseMs = pauseMsMin
    for (let far = true; !signal.aborted; ) {
      try {
        for await (const batch of follow(far)) {
          pauseMs = pauseMsMin
          yield batch
          if (signal.aborted) return
        }
        far = !far
      } catch (error) {
        if (signal.aborted) return
        if (!isUnavailable(error)) throw error
        far = true
        await bell.wait({ ms: pauseMs, signal })
        pauseMs = Math.min(pauseMs * 2, pauseMsMax)
      }
    }
  }

  return { subscribe, close: () => closing.abort() }
}
