import { createSignal, unlessAborted } from '../../async/signal.ts'
import { channels } from '../../locks.ts'
import type { Database, Query } from '../../postgres.ts'
import type { Batch, StoredEvent, SubscribeOptions } from '../port.ts'
import type { Positions } from '../position.ts'
import { isUnavailable } from '../validation.ts'
import type { Page } from './pages.ts'
import { type Reader, rowsFor } from './reader.ts'

const batchSizeDefault = 500
/** A large batch is read in pages: taking one apart while the next is on its way. */
const pageRowsMax = 1_000
/** A batch is cut so that its JSON stays about this large, judged by the batch before: two of them are in memory. */
const batchCharactersWanted = 16 * 1024 * 1024
const backoffMsMin = 100
const backoffMsMax = 2_000
/** At most one NOTIFY in this time. */
const announceMsMin = 2

/** The commit of a NOTIFY takes a lock that all notifying transactions share: never inside an append, where it cuts the rate
 *  by four. It is a hint, so it need not wait for the disk either. $1 channel, $2 position. */
const ANNOUNCE = `select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`

const longer = (ms: number) => Math.min(backoffMsMax, ms * 2)

export type Tail = {
  /** This process has committed up to the position: wakes its own subscribers at once, and other processes by NOTIFY. */
  committed(position: bigint): void
  subscribe(options: SubscribeOptions): AsyncGenerator<Batch>
  close(): Promise<void>
}

/** Follows the end of the log for all subscribers of this process together. Three ways lead to a wake-up: an append of this
 *  process, a NOTIFY of another one, and the poll, which alone would do. While the database is away, all keep trying. */
export const createTail = ({
  query,
  listen,
  reader,
  positions,
  pollMs,
}: {
  readonly query: Query
  readonly listen: Database['listen']
  readonly reader: Reader
  readonly positions: Positions
  readonly pollMs: number
}): Tail => {
  const closing = new AbortController()
  const moved = createSignal()
  const nudged = createSignal()
  let known = -1n
  let followers = 0
  let watching: Promise<void> | undefined
  let defect: unknown
  let nudges = 0
  let listening = false
  let listener: { close(): Promise<void> } | undefined

  const raise = (position: bigint) => {
    if (position <= known) return
    known = position
    moved.notify()
  }

  const nudge = () => {
    nudges += 1
    nudged.notify()
  }

  const hear = (payload: string) => {
    if (!/^\d{1,19}$/.test(payload) || BigInt(payload) > known) nudge()
  }

  const listenOnce = async (): Promise<void> => {
    if (listening) return
    listening = true
    try {
      listener = await listen(channels.logAppended, hear)
      if (closing.signal.aborted) await listener.close() // closing did not wait for it
    } catch {
      listening = false // the next poll tries again
    }
  }

  const watch = async (): Promise<void> => {
    let backoffMs = backoffMsMin
    while (followers > 0 && !closing.signal.aborted) {
      const seen = nudges
      let waitMs = pollMs
      try {
        raise(await reader.head())
        backoffMs = backoffMsMin
        void listenOnce()
      } catch (error) {
        if (!isUnavailable(error)) {
          defect = error
          moved.notify()
          return
        }
        waitMs = backoffMs
        backoffMs = longer(backoffMs)
      }
      if (seen === nudges) await nudged.wait({ ms: waitMs, signal: closing.signal })
    }
  }

  const watchAlong = () => {
    watching ??= watch().finally(() => {
      watching = undefined
    })
  }

  /** The known head once it lies beyond the position; undefined when the signal aborts first. */
  const headBeyond = async (after: bigint, signal: AbortSignal): Promise<bigint | undefined> => {
    while (!signal.aborted) {
      if (known > after) return known
      if (defect !== undefined) throw defect
      watchAlong()
      await moved.wait({ signal })
    }
    return undefined
  }

  async function* subscribe({ batchSize = batchSizeDefault, ...options }: SubscribeOptions): AsyncGenerator<Batch> {
    const batchMax = Math.max(1, batchSize)
    const signal = AbortSignal.any([options.signal, closing.signal])
    const pages = reader.pages(options)
    let events: readonly StoredEvent[] = []
    let wantedEvents = batchMax
    const rowsNext = (gathered: number) => Math.max(1, Math.min(pageRowsMax, wantedEvents - gathered))
    let after = options.after === undefined ? 0n : positions.numberOf(options.after)
    let ahead: Promise<Page> | undefined
    let backoffMs = backoffMsMin
    if (followers === 0) defect = undefined
    followers += 1
    try {
      for (;;) {
        const head = await headBeyond(after, signal)
        if (head === undefined) return
        try {
          const page = await unlessAborted(ahead ?? pages.next(after + 1n, head, rowsNext(events.length)), signal)
          if (page === undefined) return
          backoffMs = backoffMsMin
          after = page.through
          if (page.isFull) wantedEvents = rowsFor(batchCharactersWanted, page, batchMax)
          const gathered = events.length + page.events.length
          const isWhole = !page.isFull || gathered >= wantedEvents || after >= known
          // Asked for before this one is handed over, so that the database is not idle meanwhile.
          ahead = after < known ? pages.next(after + 1n, known, rowsNext(isWhole ? 0 : gathered)) : undefined
          ahead?.catch(() => undefined)
          events = events.length === 0 ? page.events : [...events, ...page.events]
          if (!isWhole) continue
          const batch = { events, position: positions.of(after) }
          events = []
          yield batch
        } catch (error) {
          if (!isUnavailable(error)) throw error
          ahead = undefined
          await moved.wait({ ms: backoffMs, signal })
          backoffMs = longer(backoffMs)
        }
      }
    } finally {
      followers -= 1
      if (followers === 0) nudge()
    }
  }

  let wanted = 0n
  let announcing: Promise<void> | undefined

  const announce = async (): Promise<void> => {
    for (let announced = 0n; announced < wanted; ) {
      announced = wanted
      const values = [channels.logAppended, `${announced}`]
      await query('eventStore.announce', ANNOUNCE, values, { name: 'event_store_announce' }).catch(() => undefined)
      await createSignal().wait({ ms: announceMsMin, signal: closing.signal })
    }
    announcing = undefined
  }

  return {
    committed: (position) => {
      raise(position)
      if (position > wanted) wanted = position
      announcing ??= announce()
    },
    subscribe,
    close: async () => {
      closing.abort()
      await Promise.all([watching, announcing, listener?.close()])
    },
  }
}
