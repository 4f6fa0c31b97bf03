import { EVENT_TYPE, type EventStoreDBClient, type ResolvedEvent, START, STREAM_NAME } from '@eventstore/db-client'
import { createSignal } from '../../async/signal.ts'
import { storeUnavailable, toStoreFailure } from './errors.ts'
import type { ServerEvent } from './events.ts'
import type { ServerFilter } from './filter.ts'
import type { LogPosition } from './position.ts'

/** An item of a subscription of the server, in its order: an event, the position that it has scanned to
 *  (`checkpoint`), or the moment when it has caught up with the log. */
export type SubscriptionItem =
  | { readonly kind: 'event'; readonly event: ServerEvent }
  | { readonly kind: 'checkpoint'; readonly position: LogPosition }
  | { readonly kind: 'caught up' }

export type ServerSubscription = {
  /** Resolves to the next item, or to undefined when none came within `ms` (0: none has arrived) or when the signal
   *  aborted. Throws DATABASE_UNAVAILABLE when the server has dropped the subscription, after all items that came
   *  before. */
  next(options: { readonly ms?: number; readonly signal: AbortSignal }): Promise<SubscriptionItem | undefined>
  close(): void
}

/** How many items are buffered for the caller; a full buffer applies backpressure to the server. */
const bufferedMax = 64

type Options = {
  readonly after: LogPosition | 'start'
  readonly filter: ServerFilter
  /** How many events the server scans between two checkpoints. */
  readonly window: number
  readonly convert: (resolved: ResolvedEvent) => ServerEvent | undefined
}

/** Opens a subscription to $all. The caller sets the pace: a caller that does not call `next` stops the server. */
export const openServerSubscription = (
  client: EventStoreDBClient,
  { after, filter, window, convert }: Options,
): ServerSubscription => {
  const changed = createSignal()
  let failed: unknown
  let isClosed = false
  const subscription = client.subscribeToAll(
    {
      fromPosition: after === 'start' ? START : after,
      requiresLeader: true,
      filter: {
        filterOn: filter.on === 'type' ? EVENT_TYPE : STREAM_NAME,
        regex: filter.regex,
        maxSearchWindow: window,
        checkpointInterval: 1,
        // Queued behind the events that came before it.
        checkpointReached: (_, position) => void subscription.push({ kind: 'checkpoint', position }),
      },
    },
    { highWaterMark: bufferedMax },
  )
  subscription.on('caughtUp' as never, () => void subscription.push({ kind: 'caught up' }))
  subscription.on('readable' as never, () => changed.notify())
  subscription.on('error', (error) => {
    failed ??= error
    changed.notify()
  })
  for (const end of ['end', 'close'] as const)
    subscription.on(end, () => {
      isClosed = true
      changed.notify()
    })

  const read = (): SubscriptionItem | undefined => {
    for (;;) {
      const item = subscription.read() as SubscriptionItem | ResolvedEvent | null
      if (item === null) return undefined
      if ('kind' in item) return item
      const event = convert(item)
      if (event) return { kind: 'event', event }
    }
  }

  return {
    next: async ({ ms, signal }) => {
      for (let waited = false; ; waited = true) {
        const item = read()
        if (item) return item
        if (signal.aborted) return undefined
        if (failed) throw toStoreFailure(failed)
        if (isClosed) throw storeUnavailable('the subscription was dropped')
        if (waited && ms !== undefined) return undefined
        // The items of one network packet arrive in several turns of the event loop.
        if (ms === 0) await new Promise((resolve) => setImmediate(resolve))
        else await changed.wait({ signal, ...(ms === undefined ? {} : { ms }) })
      }
    },
    close: () => {
      subscription.unsubscribe().catch(() => undefined)
      subscription.destroy()
    },
  }
}
