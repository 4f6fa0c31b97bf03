import { withPeer } from '../peer.ts'
import type { Outcome, Task } from '../task.ts'

type Parameters = {
  readonly from: number
  readonly events: number
  readonly batchSize: number
  readonly pullingFrequencyInMs: number
  readonly round: number
}

/** Measures the consumer of Emmett with a reactor, its way to receive all events. It begins in the middle of the log,
 *  because each of its batches reads over all events behind. It ends after a part of the log, because the whole would
 *  take minutes. */
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
