import type { EventStore } from '../../infra/event-store/port.ts'

/** For specs: a store whose subscriptions give `batches` batches and then wait until the gate is opened. */
export const gated = <Store extends Pick<EventStore, 'subscribe'>>(store: Store, batches: number) => {
  const opened = Promise.withResolvers<void>()
  let given = 0
  const closed = Promise.withResolvers<void>()
  const subscribe: EventStore['subscribe'] = async function* (options) {
    const aborted = new Promise<void>((resolve) => options.signal.addEventListener('abort', () => resolve()))
    for await (const batch of store.subscribe(options)) {
      if (given++ >= batches) {
        closed.resolve()
        await Promise.race([opened.promise, aborted])
      }
      yield batch
    }
  }
  return {
    store: { ...store, subscribe },
    /** Resolves when somebody waits at the gate. */
    reached: closed.promise,
    open: () => opened.resolve(),
  }
}
