import { realpath } from 'node:fs/promises'
import { Failure } from '../../domain/errors.ts'
import { within } from '../async/within.ts'
import { isStopped, processesIn, sendSignal } from '../system/processes.ts'
import type { WatchedProcess } from '../system/watched-process.ts'
import type { Log } from '../telemetry.ts'

/** How much of its time each step of a stop has. A fast shutdown (SIGINT) writes a checkpoint, an immediate one (SIGQUIT)
 *  leaves that to the next start; after them everything is killed. */
const steps = [
  { signal: 'SIGINT', share: 0.6 },
  { signal: 'SIGQUIT', share: 0.2 },
] as const
const lookEachMs = 100
/** How long the kernel may take to end what was killed. */
const killMsMin = 1_000

/** Ends the server and all its processes within `msMax`, in three steps, the last of which kills. What is stopped
 *  (SIGSTOP) handles no signal but SIGKILL, so it is killed without a wait: every acknowledged write is in its log.
 *  Throws DATABASE_UNAVAILABLE when even killing did not end it. */
export const stopServer = async (
  server: WatchedProcess | undefined,
  { data, msMax, log }: { readonly data: string; readonly msMax: number; readonly log: Log },
): Promise<void> => {
  if (server === undefined || !server.running()) return
  const folder = await realpath(data).catch(() => data)
  const frozen = async () => {
    if (server.stopped()) return true
    for (const pid of await processesIn(folder, ['postgres'])) if (isStopped(pid)) sendSignal(pid, 'SIGKILL')
    return false
  }
  for (const { signal, share } of steps) {
    server.signal(signal)
    const outcome = await untilEnded(server, share * msMax, frozen)
    if (outcome === 'ended') return
    log.warn(
      { signal },
      outcome === 'frozen' ? 'PostgreSQL is stopped and handles no signal' : 'PostgreSQL does not end',
    )
    if (outcome === 'frozen') break
  }
  server.kill()
  for (const pid of await processesIn(folder, ['postgres'])) sendSignal(pid, 'SIGKILL')
  const left = 1 - steps.reduce((sum, { share }) => sum + share, 0)
  if ((await untilEnded(server, Math.max(left * msMax, killMsMin), async () => false)) !== 'ended')
    throw new Failure('DATABASE_UNAVAILABLE', { reason: `PostgreSQL does not end, even when killed: ${server.pid}` })
}

const untilEnded = async (
  server: WatchedProcess,
  msMax: number,
  frozen: () => Promise<boolean>,
): Promise<'ended' | 'frozen' | 'late'> => {
  const until = performance.now() + msMax
  while (server.running()) {
    if (await frozen()) return 'frozen'
    const leftMs = until - performance.now()
    if (leftMs <= 0) return 'late'
    await within(server.ended, Math.min(lookEachMs, leftMs), () => undefined)
  }
  return 'ended'
}
