import { exists } from '../../system/files.ts'
import type { JobHandle, JobOutcome } from '../port.ts'
import { removeEndedGroups } from './attempt-groups.ts'
import type { Attempts } from './attempts.ts'
import type { Delegation } from './delegation.ts'
import { attemptFolder } from './folder.ts'
import type { ClusterLog, Follower } from './follow.ts'
import { endListeners } from './listeners.ts'
import { removeOld } from './retention.ts'
import { makeRoom } from './room.ts'

/** How often old folders are looked for. */
const sweepMs = 600_000
/** How often it is looked whether the disk has room, while jobs run here and while none does. */
const roomMs = 250
const idleRoomMs = 10_000
/** How often it is looked whether jobs listen where the platform does. */
const portsMs = 5_000
/** Where a look takes long, the next one comes no sooner than so many times that long. */
const roomRestFactor = 4
/** How long there may be little room that no job seems to take: another program may give it back. */
const lowMsMax = 10_000

export type UpkeepOptions = {
  readonly ready: () => Promise<{ readonly root: string; readonly attempts: Attempts; readonly groups: Delegation }>
  /** The ports on which no job may listen. */
  readonly ports: readonly number[]
  /** Returns whether this program watches an attempt. */
  readonly isWatched: (handle: JobHandle) => boolean
  readonly followerOf: (handle: JobHandle) => Follower | undefined
  readonly isIdle: () => boolean
  /** Milliseconds since 1970. */
  readonly clock: () => number
  readonly log: ClusterLog
}

export type Upkeep = {
  /** Looks soon, and from then on again and again in the background: often while jobs run. */
  wake(): void
  /** Resolves when nothing is done any more. */
  close(): Promise<void>
}

/** Keeps order among the attempts: removes what old ones have left, makes room where the disk has little, and ends those
 *  that listen where the platform does. */
export const createUpkeep = (options: UpkeepOptions): Upkeep => {
  const { ready, ports, isWatched, followerOf, isIdle, clock, log } = options
  const closing = new AbortController()
  const { signal } = closing
  let [sweptMs, listenedMs] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  let [sweeping, looking] = [Promise.resolve(), Promise.resolve()]
  let timer: NodeJS.Timeout | undefined
  let runs = false
  let lowSinceMs: number | undefined
  let others: ReadonlySet<string> = new Set()

  const sweep = async () => {
    const { root, attempts, groups } = await ready()
    const ended = (await attempts.list()).filter((one) => !one.running && !isWatched(one))
    const begun = ended.filter((one) => one.hasBegun).map(({ folder }) => folder)
    const isGone = async (jobId: string, attempt: number) => {
      const folder = attemptFolder(root, { jobId, attempt })
      return begun.includes(folder) || !(await exists(folder))
    }
    const left = await removeEndedGroups(groups, begun, isGone)
    if (left > 0) log.warn({ left }, 'control groups of ended jobs cannot be removed')
    await removeOld(root, ended, clock(), signal)
  }
  const sweepNowAndThen = () => {
    if (performance.now() - sweptMs < sweepMs) return
    sweptMs = performance.now()
    sweeping = sweep().catch((error: unknown) => log.warn({ err: error }, 'old folders of jobs could not be removed'))
  }

  /** Resolves to when the next look is due. */
  const look = async (): Promise<number> => {
    const begun = performance.now()
    const { root, attempts } = await ready()
    const onUnwritten = (handle: JobHandle, verdict: JobOutcome) => followerOf(handle)?.decide(verdict)
    const endsAny = lowSinceMs !== undefined && begun - lowSinceMs > lowMsMax
    const wasLow = await makeRoom({ root, attempts, log, endsAny, onUnwritten, signal })
    lowSinceMs = wasLow ? (lowSinceMs ?? begun) : undefined
    if (ports.length > 0 && begun - listenedMs >= portsMs) {
      listenedMs = begun
      others = (await endListeners({ ports, attempts, log, onUnwritten, others })).others
    }
    return isIdle() ? idleRoomMs : Math.max(roomMs, roomRestFactor * (performance.now() - begun))
  }
  const schedule = (ms: number) => {
    runs = false
    clearTimeout(timer)
    if (!signal.aborted) timer = setTimeout(run, ms).unref()
  }
  const run = () => {
    runs = true
    sweepNowAndThen()
    const warn = (error: unknown) => {
      if (!signal.aborted) log.warn({ err: error }, 'no room can be made on the disk of the jobs')
      return idleRoomMs
    }
    looking = look().catch(warn).then(schedule)
  }

  return {
    wake() {
      if (!runs) schedule(0)
    },
    async close() {
      closing.abort()
      clearTimeout(timer)
      await Promise.all([sweeping, looking])
    },
  }
}
