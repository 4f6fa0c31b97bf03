import { appendForAWhile, type Load } from '../append/callers.ts'
import type { Outcome, Task } from '../task.ts'
import { withEventStoreDb } from './connect.ts'

export const contestant = ({ url, parameters }: Task<Load & { run: string }>): Promise<Outcome> =>
  withEventStoreDb(url, async (store) => ({
    eventsPerSecond: await appendForAWhile(parameters, async (name, revision, events) => {
      const stream = `${name}-${parameters.run}-ours`
      const expected = revision < 0 ? 'no stream' : BigInt(revision)
      const { outcome } = await store.append({ stream, expected, events })
      if (outcome !== 'appended') throw new Error(`${stream} was not at ${expected}`)
    }),
  }))
