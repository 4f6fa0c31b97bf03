import { createSignal } from '../../async/signal.ts'
import { type ErrorContext, storeUnavailable, toStoreFailure } from './errors.ts'
import type { ReadItem } from './read-messages.ts'

/** A call in which the server sends messages, as grpc-js returns it. */
export type ReadCall = {
  cancel(): void
  pause(): unknown
  resume(): unknown
  on(event: 'data', listener: (item: ReadItem) => void): unknown
  on(event: 'error', listener: (error: unknown) => void): unknown
  on(event: 'end' | 'close', listener: () => void): unknown
}

export type ServerSubscription = {
  /** Resolves to the items that have arrived, at least one; to undefined when none came within `ms` (0: none has arrived)
   *  or when the signal aborted. Throws DATABASE_UNAVAILABLE when the server has dropped the subscription, after all items
   *  that came before. */
  next(options: { readonly ms?: number; readonly signal: AbortSignal }): Promise<readonly ReadItem[] | undefined>
  /** Ends it as if the server had dropped it. */
  drop(): void
  close(): void
}

/** How much is read ahead of the caller: by then the server waits. */
const bufferedItemsMax = 1_000
const bufferedBytesMax = 2 * 1024 * 1024

/** Opens a subscription to $all. The caller sets the pace: a caller that takes nothing stops the server.
 *  @param context the position from which on it is, for POSITION_FOREIGN.
 *  @param readAhead with false, items are taken from the server only while `next` waits for some. */
export const openServerSubscription = (
  open: () => Promise<ReadCall>,
  {
    context = {},
    readAhead = true,
  }: { readonly context?: ErrorContext; readonly readAhead?: boolean | undefined } = {},
): ServerSubscription => {
  const changed = createSignal()
  let failed: unknown
  let isClosed = false
  let call: ReadCall | undefined
  let isPaused = false
  let items: ReadItem[] = []
  let bytes = 0

  const fail = (error: unknown) => {
    failed ??= error
    changed.notify()
  }
  const end = () => {
    isClosed = true
    changed.notify()
  }
  // The messages of one network packet come one after the other: a waiting reader is woken once for all of them.
  let isWaking = false
  const wakeSoon = () => {
    if (isWaking) return
    isWaking = true
    setImmediate(() => {
      isWaking = false
      changed.notify()
    })
  }
  const pause = () => {
    if (isPaused || !call) return
    isPaused = true
    call.pause()
  }
  const resume = () => {
    if (!isPaused) return
    isPaused = false
    call?.resume()
  }
  const begin = async () => {
    const opened = await open()
    call = opened
    opened.on('data', (item) => {
      items.push(item)
      if (item.kind === 'event') bytes += item.bytes
      if (items.length >= bufferedItemsMax || bytes >= bufferedBytesMax) pause()
      wakeSoon()
    })
    opened.on('error', fail)
    opened.on('end', end)
    opened.on('close', end)
    if (isClosed) opened.cancel()
  }
  begin().catch(fail)

  const take = (): readonly ReadItem[] => {
    const taken = items
    items = []
    bytes = 0
    if (readAhead) resume()
    return taken
  }
  const taking: ServerSubscription['next'] = async ({ ms, signal }) => {
    for (let waited = false; ; waited = true) {
      if (items.length > 0) return take()
      if (signal.aborted) return undefined
      if (failed) throw toStoreFailure(failed, context)
      if (isClosed) throw storeUnavailable('the subscription was dropped')
      if (waited && ms !== undefined) return undefined
      // The items of one network packet arrive in several turns of the event loop.
      if (ms === 0) await new Promise((resolve) => setImmediate(resolve))
      else await changed.wait({ signal, ...(ms === undefined ? {} : { ms }) })
    }
  }

  return {
    next: async (options) => {
      if (items.length === 0) resume()
      try {
        return await taking(options)
      } finally {
        if (!readAhead) pause()
      }
    },
    drop: () => {
      fail(storeUnavailable('another node leads the cluster'))
      call?.cancel()
    },
    close: () => {
      isClosed = true
      items = []
      call?.cancel()
    },
  }
}
