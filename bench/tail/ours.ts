import type { EventStore } from '../../infra/event-store/port.ts'
import { withStore } from '../connect.ts'
import type { Outcome, Task } from '../task.ts'
import { appendSteadily, createReceiver, numbered, rentalOf, type Stream } from './messages.ts'

type Parameters = Stream & { readonly part: 'append' | 'follow' | 'both' }

const appendAll = (store: EventStore, stream: Stream) =>
  appendSteadily(stream, (n) =>
    store.append({ stream: `rental-t${stream.round}-${rentalOf(n)}`, expected: 'any', events: [numbered(n)] }),
  )

const followAll = async (store: EventStore, { events }: Stream, ready: () => void): Promise<readonly number[]> => {
  const receiver = createReceiver(events)
  const stop = new AbortController()
  const following = (async () => {
    for await (const batch of store.subscribe({ signal: stop.signal }))
      for (const { data } of batch.events) receiver.receive(data)
  })()
  ready()
  await Promise.race([receiver.all, following])
  stop.abort()
  await following
  if (receiver.missing() > 0) throw new Error('the tail has ended')
  return receiver.received
}

/** Appends, follows, or does both in one process as the platform does on a laptop. */
export const contestant = ({ url, parameters, ready }: Task<Parameters>): Promise<Outcome> =>
  withStore(url, async (store) => {
    switch (parameters.part) {
      case 'append':
        return { asked: await appendAll(store, parameters) }
      case 'follow':
        return { received: await followAll(store, parameters, ready) }
      case 'both': {
        const [received, asked] = await Promise.all([
          followAll(store, parameters, () => undefined),
          appendAll(store, parameters),
        ])
        return { asked, received }
      }
    }
  })
