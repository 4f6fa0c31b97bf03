import type { EventStore } from '../../infra/event-store/port.ts'
import type { Outcome, Task } from '../task.ts'
import { withEventStoreDb } from './connect.ts'

/** `after` is a position of our store. */
export type Reading = { readonly how: 'read' | 'subscribe'; readonly events: number; readonly after: string }

const batchSize = 1_000

/** Yields what a reader gets: some events at a time. */
async function* batchesOf(store: EventStore, { how, events, after: text }: Reading) {
  const after = store.parsePosition(text)
  if (how === 'subscribe') yield* store.subscribe({ after, batchSize, signal: new AbortController().signal })
  else for await (const event of store.readAll({ after, limit: events })) yield { events: [event] }
}

/** Reads events after a position, parsed, as read models and the bus get them. */
export const contestant = ({ url, parameters }: Task<Reading>): Promise<Outcome> =>
  withEventStoreDb(url, async (store) => {
    const begun = performance.now()
    let read = 0
    for await (const { events } of batchesOf(store, parameters)) {
      for (const { metadata } of events) if (metadata.actor !== '') read += 1
      if (read >= parameters.events) break
    }
    return { eventsPerSecond: (read * 1000) / (performance.now() - begun) }
  })
