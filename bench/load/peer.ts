import { withPeer } from '../peer.ts'
import type { Outcome, Task } from '../task.ts'
import { type Loads, loadForAWhile } from './loads.ts'

export const contestant = ({ url, parameters }: Task<Loads>): Promise<Outcome> =>
  withPeer(url, async (store) => ({
    loadsPerSecond: await loadForAWhile(parameters, async (stream) => (await store.readStream(stream)).events.length),
  }))
