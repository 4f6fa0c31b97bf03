import { type EventStoreDBClient, FORWARDS } from '@eventstore/db-client'
import type { Outcome, Task } from '../task.ts'
import { withClient } from './connect.ts'
import type { Reading } from './read-ours.ts'

/** Opens a read or a subscription. Neither has a filter: the client's read of all events takes none, and its
 *  subscription is faster without. */
const eventsOf = (client: EventStoreDBClient, { how, after }: Reading) => {
  const [commit = 0n, prepare = 0n] = after.split('-').slice(-2).map(BigInt)
  const fromPosition = { commit, prepare }
  return how === 'subscribe'
    ? client.subscribeToAll({ fromPosition })
    : client.readAll({ direction: FORWARDS, fromPosition })
}

/** Reads as many events of applications as ours does, and leaves out those of the server. */
export const contestant = ({ url, parameters }: Task<Reading>): Promise<Outcome> =>
  withClient(url, async (client) => {
    const begun = performance.now()
    let read = 0
    for await (const { event } of eventsOf(client, parameters)) {
      if (event !== undefined && !event.type.startsWith('$') && event.metadata !== undefined) read += 1
      if (read >= parameters.events) break
    }
    return { eventsPerSecond: (read * 1000) / (performance.now() - begun) }
  })
