import { isFailure } from '../../../domain/errors.ts'
import { createBackoff } from '../../async/backoff.ts'
import { createSignal, unlessAborted } from '../../async/signal.ts'
import { channels } from '../../locks.ts'
import type { Database } from '../../postgres.ts'
import type { Batch, StoredEvent, SubscribeOptions } from '../port.ts'
import type { Positions } from '../position.ts'
import { createAnnouncements } from './announcements.ts'
import type { KnownInPostgres } from './known.ts'
import { type Committed, createOwnEvents, filtered } from './own-events.ts'
import type { Page } from './pages.ts'
import { type Reader, rowsFitting } from './reader.ts'

const batchSizeDefault = 500
/** A large batch is read in pages, so that one page is decoded while the next is in transit. */
const pageRowsMax = 1_000
/** A batch ends with the page that reaches so many bytes of JSON. The next page is in memory as well. */
const batchBytesMax = 8 * 1024 * 1024
const retryDelay = { minMs: 100, maxMs: 2_000 }

export type Tail = {
  /** Reports that this process has committed up to the position: wakes its subscribers at once, which need not read
   *  what is known here, and other processes by NOTIFY. `committed` returns what was new. */
  committed(position: bigint, committed: () => readonly Committed[]): void
  subscribe(options: SubscribeOptions): AsyncGenerator<Batch>
  close(): Promise<void>
}

/** Creates the tail of the log, which all subscribers of this process share. Three things wake them: an append of
 *  this process, a NOTIFY of another one, and the poll, which alone would suffice. Whatever error the database answers
 *  with, they keep retrying: no error of one statement ends a subscriber. A log that was replaced ends them all:
 *  LOG_REPLACED.
 *  @param onRetry called with each error that is retried. */
export const createTail = ({
  known,
  listen,
  reader,
  positions,
  pollMs,
  onRetry = () => undefined,
  announcing,
}: {
  readonly known: KnownInPostgres
  readonly listen: Database['listen']
  readonly reader: Reader
  readonly positions: Positions
  readonly pollMs: number
  readonly onRetry?: ((error: unknown) => void) | undefined
  /** Left out but in specs. */
  readonly announcing?: { readonly answerMsMax: number } | undefined
}): Tail => {
  const closing = new AbortController()
  const headMoved = createSignal()
  const pollRequested = createSignal()
  const own = createOwnEvents(positions)
  let latestHead = -1n
  let subscribers = 0
  let polling: Promise<void> | undefined
  let pollRequests = 0
  let listening = false
  let listener: { close(): Promise<void> } | undefined

  const advanceHead = (position: bigint) => {
    if (position <= latestHead) return
    latestHead = position
    headMoved.notify()
  }

  const requestPoll = () => {
    pollRequests += 1
    pollRequested.notify()
  }

  const announcements = createAnnouncements({ query: known.query, ...announcing })

  const onNotification = (payload: string) => {
    // Sent by nobody: listening has begun, perhaps anew.
    if (payload === '') announcements.listening()
    const position = payload === '' ? 'unknown' : announcements.heard(payload)
    if (position === 'unknown' || (position !== undefined && position > latestHead)) requestPoll()
  }

  const ensureListening = async (): Promise<void> => {
    if (listening) return
    listening = true
    try {
      listener = await listen(channels.logAppended, onNotification)
      if (closing.signal.aborted) await listener.close() // `close` has not waited for this listener
    } catch {
      listening = false // the next poll tries again
    }
  }

  const pollHead = async (): Promise<void> => {
    const backoff = createBackoff(retryDelay)
    try {
      while (subscribers > 0 && !closing.signal.aborted) {
        const requestsBefore = pollRequests
        let waitMs = pollMs
        try {
          advanceHead(await reader.head())
          backoff.reset()
          void ensureListening()
        } catch (error) {
          if (isFailure(error, 'LOG_REPLACED')) return headMoved.notify()
          onRetry(error)
          waitMs = backoff.take()
        }
        if (requestsBefore === pollRequests) await pollRequested.wait({ ms: waitMs, signal: closing.signal })
      }
    } finally {
      // In the turn in which it has found no subscriber: one that comes in the next must not take it for running.
      polling = undefined
    }
  }

  const ensurePolling = () => {
    polling ??= pollHead()
  }

  /** Resolves to the latest head as soon as it is beyond the position, or to undefined when the signal aborts first. */
  const headBeyond = async (after: bigint, signal: AbortSignal): Promise<bigint | undefined> => {
    while (!signal.aborted) {
      known.assertSame()
      if (latestHead > after) return latestHead
      ensurePolling()
      await headMoved.wait({ signal })
    }
    return undefined
  }

  async function* subscribe(asked: SubscribeOptions): AsyncGenerator<Batch> {
    const { batchSize = batchSizeDefault, readAhead = true, ...options } = asked
    const batchMax = Math.max(1, batchSize)
    const signal = AbortSignal.any([options.signal, closing.signal])
    const pages = reader.pages(options)
    let events: readonly StoredEvent[] = []
    let bytes = 0
    let batchTarget = batchMax
    let pageRows = pageRowsMax
    const nextPage = async (low: bigint, high: bigint, rowsMax: number): Promise<Page> => {
      const known = own.page(low, high, rowsMax)
      return known ? filtered(known, options) : pages.next(low, high, rowsMax)
    }
    const rowsToFetch = (gathered: number) => Math.max(1, Math.min(pageRows, batchTarget - gathered))
    let after = options.after === undefined ? 0n : positions.numberOf(options.after)
    let prefetched: Promise<Page> | undefined
    const backoff = createBackoff(retryDelay)
    subscribers += 1
    try {
      for (;;) {
        const head = await headBeyond(after, signal)
        if (head === undefined) return
        const reading = prefetched ?? nextPage(after + 1n, head, rowsToFetch(events.length))
        prefetched = undefined
        const page = await unlessAborted(reading, signal).catch((error: unknown) => {
          if (isFailure(error, 'LOG_REPLACED')) throw error
          onRetry(error)
          return 'failed' as const
        })
        if (page === undefined) return
        if (page === 'failed') {
          // Fewer events at once: the statement may have taken too long.
          pageRows = Math.max(1, pageRows >> 1)
          await headMoved.wait({ ms: backoff.take(), signal })
          continue
        }
        backoff.reset()
        pageRows = Math.min(pageRowsMax, pageRows * 2)
        after = page.through
        if (page.isFull) batchTarget = rowsFitting(batchBytesMax, page, batchMax)
        bytes += page.bytes
        const gathered = events.length + page.events.length
        const isWhole = !page.isFull || gathered >= batchTarget || bytes >= batchBytesMax || after >= latestHead
        // Requested before the caller gets this batch, so that the database is not idle meanwhile.
        if (after < latestHead && (readAhead || !isWhole))
          prefetched = nextPage(after + 1n, latestHead, rowsToFetch(isWhole ? 0 : gathered))
        prefetched?.catch(() => undefined)
        events = events.length === 0 ? page.events : [...events, ...page.events]
        if (!isWhole) continue
        const batch = { events, position: positions.of(after), bytes }
        events = []
        bytes = 0
        yield batch
      }
    } finally {
      subscribers -= 1
      if (subscribers === 0) {
        own.clear()
        requestPoll()
      }
    }
  }

  return {
    committed: (position, committed) => {
      if (subscribers > 0) own.add(committed())
      advanceHead(position)
      announcements.committed(position)
    },
    subscribe,
    close: async () => {
      closing.abort()
      await Promise.all([polling, announcements.close(), listener?.close()])
    },
  }
}
