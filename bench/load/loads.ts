import { streamOf } from '../events.ts'
import { createRate } from '../statistics.ts'

export type Loads = {
  readonly callers: number
  readonly streams: number
  readonly length: number
  readonly warmUpMs: number
  readonly measureMs: number
}

/** A stride that is no divisor of the number of streams: each load meets a stream that was not met lately. */
const stride = 7919

/** Loads whole streams one after another with every caller. Resolves to the loads per second after the warm-up. Throws
 *  when a stream does not have the expected events. */
export const loadForAWhile = async (
  { callers, streams, length, ...times }: Loads,
  load: (stream: string) => Promise<number>,
): Promise<number> => {
  const loaded = createRate(times)
  const call = async (caller: number): Promise<void> => {
    for (let turn = caller; !loaded.isOver(); turn += callers) {
      const stream = streamOf((turn * stride) % streams)
      const events = await load(stream)
      if (events !== length) throw new Error(`${stream} has ${events} events, not ${length}`)
      loaded.done(1)
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)))
  return loaded.perSecond()
}
