import { withStore } from '../connect.ts'
import type { Outcome, Task } from '../task.ts'
import { appendForAWhile, type Load } from './callers.ts'

export const contestant = ({ url, parameters }: Task<Load>): Promise<Outcome> =>
  withStore(url, async (store) => ({
    eventsPerSecond: await appendForAWhile(parameters, async (stream, revision, events) => {
      const expected = revision < 0 ? 'no stream' : BigInt(revision)
      const { outcome } = await store.append({ stream, expected, events })
      if (outcome !== 'appended') throw new Error(`${stream} was not at ${expected}`)
    }),
  }))
