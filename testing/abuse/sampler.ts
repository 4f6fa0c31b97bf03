import { once } from 'node:events'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Sample, Watched } from './sampler-thread.ts'

/** The worst values of a time. `healthMs` is infinite when /health once gave no answer. */
export type Worst = { readonly rssBytes: number; readonly healthMs: number }

export type Sampler = {
  /** Returns the worst values since the last call. */
  take(): Worst
  close(): Promise<void>
}

const none: Worst = { rssBytes: 0, healthMs: 0 }

/** Starts to measure a platform's resident memory and the time of its /health, each about every 50 ms, from an address
 *  of its own. Resolves with the first sample. */
export const startSampler = async (watched: Watched): Promise<Sampler> => {
  const worker = new Worker(join(import.meta.dirname, 'sampler-thread.ts'), { workerData: watched })
  let worst = none
  worker.on('message', ({ rssBytes, healthMs }: Sample) => {
    worst = { rssBytes: Math.max(worst.rssBytes, rssBytes), healthMs: Math.max(worst.healthMs, healthMs) }
  })
  await once(worker, 'message')
  return {
    take: () => {
      const taken = worst
      worst = none
      return taken
    },
    close: async () => {
      const ended = once(worker, 'exit')
      worker.postMessage('end')
      await ended
    },
  }
}
