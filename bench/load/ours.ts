import { withStore } from '../connect.ts'
import type { Outcome, Task } from '../task.ts'
import { type Loads, loadForAWhile } from './loads.ts'

export const contestant = ({ url, parameters }: Task<Loads>): Promise<Outcome> =>
  withStore(url, async (store) => ({
    loadsPerSecond: await loadForAWhile(parameters, async (stream) => {
      let events = 0
      for await (const _ of store.readStream(stream)) events += 1
      return events
    }),
  }))
