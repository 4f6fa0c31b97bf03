import { type ChildProcess, spawn } from 'node:child_process'
import { Failure } from '../../../domain/errors.ts'
import { sleep } from '../../async/sleep.ts'
import type { JobOutcome } from '../port.ts'
import { isFaultOfMachine } from './fault.ts'
import { type Launch, readProcess, readVerdict } from './reading.ts'
import { type WrapperOptions, wrapperCommand } from './wrapper.ts'

const startMsMax = 10_000
const startPollMs = 10

/** Returns when the wrapper itself ends the attempt, in seconds from now, and with which verdict. */
export const wrapperEndOf = ({ spec, endsAtMs }: Launch, nowMs: number): { seconds: number; verdict: JobOutcome } => {
  const { timeoutSeconds } = spec
  const leftSeconds = endsAtMs === undefined ? Number.POSITIVE_INFINITY : (endsAtMs - nowMs) / 1000
  if (leftSeconds <= timeoutSeconds) return { seconds: Math.max(leftSeconds, 0), verdict: { ended: 'expired' } }
  const message = `It ran longer than ${timeoutSeconds} s.`
  return { seconds: timeoutSeconds, verdict: { ended: 'failed', code: 'JOB_TIMED_OUT', message } }
}

/** Spawns the wrapper and waits until it, or an earlier one, has written process.json. Throws CLUSTER_UNAVAILABLE, and
 *  INTERNAL when it cannot be spawned at all; may be repeated. */
export const start = async (folder: string, options: WrapperOptions): Promise<ChildProcess> => {
  const { file, args, env } = wrapperCommand(options)
  const child = spawn(file, args, {
    cwd: '/',
    env,
    detached: true, // its own session, so that the job outlives the terminal of this program
    stdio: 'ignore',
  })
  const failed = new Promise<never>((_, reject) => child.once('error', reject))
  child.unref()
  try {
    await Promise.race([failed, started(child, folder)])
    return child
  } catch (error) {
    if (error instanceof Failure || isFaultOfMachine(error)) throw error
    throw new Failure('INTERNAL', { command: String(error) }, error)
  }
}

const started = async (child: ChildProcess, folder: string): Promise<void> => {
  for (const giveUpAt = performance.now() + startMsMax; performance.now() < giveUpAt; await sleep(startPollMs)) {
    const over = child.exitCode !== null || child.signalCode !== null
    if ((await readProcess(folder)) || (await readVerdict(folder))) return
    if (over)
      throw new Failure('CLUSTER_UNAVAILABLE', { reason: `the first process of ${folder} ended before it began` })
  }
  throw new Failure('CLUSTER_UNAVAILABLE', {
    reason: `the first process of ${folder} did not begin within ${startMsMax} ms`,
  })
}
