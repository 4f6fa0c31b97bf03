import { withPeer } from '../peer.ts'
import type { Outcome, Task } from '../task.ts'

type Parameters = {
  readonly from: number
  readonly events: number
  readonly batchSize: number
  readonly pullingFrequencyInMs: number
  readonly round: number
}

/** Through the consumer of Emmett and a reactor, its way to receive all events. It begins in the middle of the log, because
 *  each batch costs it a look at all that lies behind, and ends after a part of it, because the whole would take minutes. */
export const contestant = ({ url, parameters }: Task<Parameters>): Promise<Outcome> =>
  withPeer(url, async (store) => {
    const { from, batchSize, pullingFrequencyInMs, round } = parameters
    const consumer = store.consumer({ pulling: { batchSize, pullingFrequencyInMs } })
    let begun = 0
    let events = 0
    consumer.reactor({
      processorId: `catch-up-${round}-${batchSize}`,
      startFrom: { lastCheckpoint: BigInt(from) },
      eachMessage: () => {
        events += 1
      },
      stopAfter: () => events >= parameters.events,
    })
    begun = performance.now()
    await consumer.start()
    const eventsPerSecond = (events * 1000) / (performance.now() - begun)
    if (events !== parameters.events) throw new Error(`${events} events were read, not ${parameters.events}`)
    return { eventsPerSecond }
  })
