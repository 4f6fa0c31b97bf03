import { withStore } from '../connect.ts'
import type { Outcome, Task } from '../task.ts'

/** Measures a subscription from the beginning, as the projections and the bus read: every event is parsed and
 *  delivered. The outcome includes the largest size that the process ever had, in megabytes. */
export const contestant = ({ url, parameters }: Task<{ events: number; batchSize: number }>): Promise<Outcome> =>
  withStore(url, async (store) => {
    const stop = new AbortController()
    const begun = performance.now()
    let events = 0
    let last = -1n
    for await (const batch of store.subscribe({ batchSize: parameters.batchSize, signal: stop.signal })) {
      for (const { revision, metadata } of batch.events) if (metadata.actor !== '') last = revision
      events += batch.events.length
      if (events >= parameters.events) break
    }
    const tookMs = performance.now() - begun
    if (events !== parameters.events || last < 0n)
      throw new Error(`${events} events were read, not ${parameters.events}`)
    return { eventsPerSecond: (events * 1000) / tookMs, megabytes: process.resourceUsage().maxRSS / 1024 }
  })
