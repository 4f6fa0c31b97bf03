// Runs in a thread of its own, so that the attacks do not delay what it measures.
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { send } from './http.ts'

export type Watched = { readonly url: string; readonly pid: number; readonly from: string }
export type Sample = { readonly rssBytes: number; readonly healthMs: number }

const everyMs = 50
const kibibyte = 1024
const { url, pid, from } = workerData as Watched

/** Returns the resident memory of the platform; zero when it has ended. */
const rssBytes = (): number => {
  try {
    const found = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
    return Number(found?.[1] ?? 0) * kibibyte
  } catch {
    return 0
  }
}

const healthMs = async (): Promise<number> => {
  const began = performance.now()
  const answer = await send({ url: `${url}/health`, from }).catch(() => undefined)
  return answer?.status === 200 ? performance.now() - began : Number.POSITIVE_INFINITY
}

const memory = setInterval(() => report(0), everyMs)
let over = false
const report = (ms: number) => parentPort?.postMessage({ rssBytes: rssBytes(), healthMs: ms } satisfies Sample)
parentPort?.once('message', () => {
  over = true
  clearInterval(memory)
})
while (!over) {
  report(await healthMs())
  await delay(everyMs)
}
process.exit(0)
