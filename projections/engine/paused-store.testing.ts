import type { EventStore } from '../../infra/event-store/port.ts'

/** Returns a store for specs whose subscriptions pause after `batches` batches until they are resumed. */
export const pauseAfter = <Store extends Pick<EventStore, 'subscribe'>>(store: Store, batches: number) => {
  const resumed = Promise.withResolvers<void>()
  const paused = Promise.withResolvers<void>()
  let given = 0
  const subscribe: EventStore['subscribe'] = async function* (options) {
    const aborted = new Promise<void>((resolve) => options.signal.addEventListener('abort', () => resolve()))
    for await (const batch of store.subscribe(options)) {
      if (given++ >= batches) {
        paused.resolve()
        await Promise.race([resumed.promise, aborted])
      }
      yield batch
    }
  }
  return {
    store: { ...store, subscribe },
    /** Resolves when a subscription pauses. */
    isPaused: paused.promise,
    resume: () => resumed.resolve(),
  }
}
