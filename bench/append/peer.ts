import { withPeer } from '../peer.ts'
import type { Outcome, Task } from '../task.ts'
import { appendForAWhile, type Load } from './callers.ts'

export const contestant = ({ url, parameters }: Task<Load>): Promise<Outcome> =>
  withPeer(url, async (store) => ({
    eventsPerSecond: await appendForAWhile(parameters, (stream, revision, events) =>
      store.appendToStream(stream, events, {
        // The peer counts the events of a stream, we count from 0.
        expectedStreamVersion: revision < 0 ? 'STREAM_DOES_NOT_EXIST' : BigInt(revision + 1),
      }),
    ),
  }))
