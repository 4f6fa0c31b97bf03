import { sleep } from '../../infra/async/sleep.ts'
import { withPeer } from '../peer.ts'
import type { Outcome, Task } from '../task.ts'
import { appendSteadily, createReceiver, numbered, rentalOf, type Stream } from './messages.ts'

type Parameters = Stream & { readonly part: 'append' | 'follow' }

/** Longer than its longest pause. */
const silentMsMax = 5_000
const lookMs = 100

/** Resolves after a long silence: of events whose transactions overlap the peer may skip one for good. */
const untilSilent = async (receiver: ReturnType<typeof createReceiver>, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted && receiver.silentMs() < silentMsMax) await sleep(lookMs)
}

/** Measures the consumer of the peer. It polls every `pullingFrequencyInMs` while there are events, and with growing
 *  pauses, up to a second, when a batch was not full. Its shortest pause is set. */
export const contestant = ({ url, parameters, ready }: Task<Parameters>): Promise<Outcome> =>
  withPeer(url, async (store) => {
    if (parameters.part === 'append') {
      const asked = await appendSteadily(parameters, (n) =>
        store.appendToStream(`rental-t${parameters.round}-${rentalOf(n)}-${n}`, [numbered(n)]),
      )
      return { asked }
    }
    const receiver = createReceiver(parameters.events)
    const consumer = store.consumer({ pulling: { pullingFrequencyInMs: 1 } })
    consumer.reactor({
      processorId: `tail-${parameters.round}`,
      startFrom: 'BEGINNING',
      eachMessage: ({ data }) => receiver.receive(data),
    })
    const running = consumer.start()
    ready()
    const quiet = new AbortController()
    await Promise.race([receiver.all, running, untilSilent(receiver, quiet.signal)])
    quiet.abort()
    await consumer.stop()
    return { received: receiver.received }
  })
