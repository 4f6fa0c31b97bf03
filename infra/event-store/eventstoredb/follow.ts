import { EVENT_TYPE, type EventStoreDBClient, type ResolvedEvent, START, STREAM_NAME } from '@eventstore/db-client'
import { createSignal } from '../../async/signal.ts'
import { storeUnavailable, toStoreFailure } from './errors.ts'
import type { ServerEvent } from './events.ts'
import type { ServerFilter } from './filter.ts'
import type { LogPosition } from './position.ts'

/** What a subscription of the server gives, in its order: events, how far it has looked (`checkpoint`), and the moment when
 *  there is nothing further to catch up with. */
export type Followed =
  | { readonly kind: 'event'; readonly event: ServerEvent }
  | { readonly kind: 'checkpoint'; readonly position: LogPosition }
  | { readonly kind: 'caught up' }

export type Follow = {
  /** The next one; undefined when none came within `ms` (0: none is here) or when the signal aborted. Throws
   *  DATABASE_UNAVAILABLE when the server has dropped the subscription, after all that came before. */
  next(options: { readonly ms?: number; readonly signal: AbortSignal }): Promise<Followed | undefined>
  close(): void
}

/** How many may wait here for the caller; behind them the server is held back. */
const waitingMax = 64

type Options = {
  readonly after: LogPosition | 'start'
  readonly filter: ServerFilter
  /** How many events the server looks at between two checkpoints. */
  readonly window: number
  readonly convert: (resolved: ResolvedEvent) => ServerEvent | undefined
}

/** Opens a subscription to $all. It is read at the caller's pace: who does not ask for the next one stops the server. */
export const createFollow = (client: EventStoreDBClient, { after, filter, window, convert }: Options): Follow => {
  const bell = createSignal()
  let failed: unknown
  let over = false
  const subscription = client.subscribeToAll(
    {
      fromPosition: after === 'start' ? START : after,
      requiresLeader: true,
      filter: {
        filterOn: filter.on === 'type' ? EVENT_TYPE : STREAM_NAME,
        regex: filter.regex,
        maxSearchWindow: window,
        checkpointInterval: 1,
        // Put in line behind the events that came before it.
        checkpointReached: (_, position) => void subscription.push({ kind: 'checkpoint', position }),
      },
    },
    { highWaterMark: waitingMax },
  )
  subscription.on('caughtUp' as never, () => void subscription.push({ kind: 'caught up' }))
  subscription.on('readable' as never, () => bell.notify())
  subscription.on('error', (error) => {
    failed ??= error
    bell.notify()
  })
  for (const end of ['end', 'close'] as const)
    subscription.on(end, () => {
      over = true
      bell.notify()
    })

  const read = (): Followed | undefined => {
    for (;;) {
      const item = subscription.read() as Followed | ResolvedEvent | null
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
        if (over) throw storeUnavailable('the subscription was dropped')
        if (waited && ms !== undefined) return undefined
        // What arrived in one piece comes in several turns of the loop.
        if (ms === 0) await new Promise((resolve) => setImmediate(resolve))
        else await bell.wait({ signal, ...(ms === undefined ? {} : { ms }) })
      }
    },
    close: () => {
      subscription.unsubscribe().catch(() => undefined)
      subscription.destroy()
    },
  }
}
