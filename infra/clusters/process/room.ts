/** Keeps room on the disk of the jobs: on the same disk lie, as a rule, the database and the log of the platform. */
import { join } from 'node:path'
import { Failure } from '../../../domain/errors.ts'
import { sleep } from '../../async/sleep.ts'
import type { JobHandle, JobOutcome } from '../port.ts'
import type { Attempts, ListedAttempt } from './attempts.ts'
import { type DiskUse, measureDisk, type Room, readRoom, type Scarce, scarceIn } from './disk.ts'
import type { ClusterLog } from './follow.ts'
import { type Held, lookAtHeld } from './held.ts'
import { removeFiles } from './retention.ts'

/** How long the removal of what ended jobs have left may hold up the end of those that run: one of these may go on writing
 *  there. */
const removeMsMax = 60_000
/** A job that takes less than this part of the reserve is not what fills the disk. */
const smallShare = 1 / 16
/** Nor is one that takes less than this: the platform's own files of an attempt take some of it. */
const smallMax: Readonly<Record<Scarce, number>> = { bytes: 256 * 1024, files: 64 }
/** How long all running jobs together are measured: meanwhile the disk goes on filling. */
const measureMsMax = 1_000
const lookAgainMs = 25
/** How many jobs are ended in one look, one after the other. */
const endsMax = 100

const mib = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2)} MiB`
const leftOf = (scarce: Scarce, { freeBytes, reserveBytes, freeFiles, reserveFiles }: Room): string =>
  scarce === 'bytes'
    ? `${mib(freeBytes)} free, and ${mib(reserveBytes)}`
    : `room for ${freeFiles} files, and that for ${reserveFiles}`

/** Resolves to how much a job that starts now may write. Throws CLUSTER_UNAVAILABLE where the reserve is all that is
 *  left. */
export const diskBytesAtStart = async (root: string, bytesMax: number): Promise<number> => {
  const room = await readRoom(root)
  const scarce = scarceIn(room)
  if (scarce)
    throw new Failure('CLUSTER_UNAVAILABLE', {
      reason: `the disk of the jobs has ${leftOf(scarce, room)} of it are kept for the platform`,
    })
  return Math.min(bytesMax, Math.floor(room.freeBytes - room.reserveBytes))
}

export type RoomOptions = {
  readonly root: string
  readonly attempts: Attempts
  readonly log: ClusterLog
  /** Whether jobs are ended too that take little. */
  readonly endsAny: boolean
  /** Calls this before the first signal where the verdict could not be written. */
  readonly onUnwritten: (handle: JobHandle, verdict: JobOutcome) => void
  readonly signal?: AbortSignal
}

/** Makes room where less than the reserve is free: removes the files of the attempts that have ended, then ends running
 *  ones with JOB_DISK_EXCEEDED, one after the other, until there is room. Resolves to whether there was too little. */
export const makeRoom = async (options: RoomOptions): Promise<boolean> => {
  const { root, attempts, log, signal } = options
  if (!scarceIn(await readRoom(root))) return false
  const remove = async (folders: readonly string[]) => {
    const timeout = AbortSignal.timeout(removeMsMax)
    const inTime = signal ? AbortSignal.any([signal, timeout]) : timeout
    // A job that writes there meanwhile must not keep itself from being ended.
    await removeFiles(folders, inTime).catch((error: unknown) => log.warn({ err: error }, unremoved))
  }
  const ended = (await attempts.list()).filter(({ running, hasBegun }) => !running && hasBegun)
  await remove(ended.map(({ folder }) => folder))
  const kept = new Set<string>()
  for (let ends = 0; ends < endsMax && !signal?.aborted; ends++) {
    const room = await readRoom(root)
    const scarce = scarceIn(room)
    if (!scarce) break
    const reserve = scarce === 'bytes' ? room.reserveBytes : room.reserveFiles
    const small = { of: scarce, least: Math.max(reserve * smallShare, smallMax[scarce]) }
    const measured = (await measureRunning(options)).filter(({ handle }) => !kept.has(handle.folder))
    const next = pickNext(measured, small, options.endsAny)
    // One that was cut off by the end of this program is not measured.
    if (!next || signal?.aborted) break
    const { folder, jobId, attempt } = next.handle
    const message = `The disk of the machine was nearly full, and ${next.reason}.`
    log.warn({ jobId, attempt, bytes: next.bytes, files: next.files, ...room }, `${message} The job is ended`)
    const verdict = { ended: 'failed', code: 'JOB_DISK_EXCEEDED', message } as const
    const isEnded = await attempts
      .end(folder, verdict, () => options.onUnwritten({ jobId, attempt }, verdict))
      .then(
        () => true,
        (error: unknown) => log.warn({ jobId, attempt, err: error }, 'a job cannot be ended: the next one is'),
      )
    if (isEnded) await remove([folder])
    else kept.add(folder)
  }
  return true
}

const unremoved = 'not all files of ended jobs can be removed'

/** What a running attempt takes of the disk. */
export type Measured<Handle> = DiskUse & { readonly handle: Handle }

/** Returns the attempt that is ended first, and why: what cannot be measured counts as the largest; then the one that takes
 *  most of what is scarce, where that is not less than `least`; and where no job takes much that can be seen and any may be ended, the one that started last. Pure. */
export const pickNext = <Handle extends { readonly startedMs: number | undefined }>(
  measured: readonly Measured<Handle>[],
  small: { readonly of: Scarce; readonly least: number },
  endsAny: boolean,
): (Measured<Handle> & { readonly reason: string }) | undefined => {
  const bySize = measured.toSorted((a, b) => b[small.of] - a[small.of])
  const hiding = bySize.find(({ trouble, cut }) => trouble && !cut) ?? bySize.find(({ trouble }) => trouble)
  if (hiding) return { ...hiding, reason: `what this job takes cannot be measured: ${hiding.trouble}` }
  const [largest] = bySize
  if (largest && largest[small.of] >= small.least)
    return { ...largest, reason: `of all jobs it took most, ${largest[small.of]} ${small.of}` }
  if (!endsAny) return undefined
  const startOf = ({ handle }: Measured<Handle>) => handle.startedMs ?? Number.POSITIVE_INFINITY
  const latest = measured.toSorted((a, b) => (startOf(a) < startOf(b) ? 1 : -1))[0]
  return latest && { ...latest, reason: 'no job took much of it: those that started last are ended first' }
}

/** Resolves to what all running attempts take of the disk, with what they hold open there without a name. */
const measureRunning = async ({ attempts, signal }: RoomOptions): Promise<Measured<ListedAttempt>[]> => {
  const running = (await attempts.list()).filter((one) => one.running)
  const timeout = AbortSignal.timeout(measureMsMax)
  const inTime = signal ? AbortSignal.any([signal, timeout]) : timeout
  return Promise.all(
    running.map(async (handle): Promise<Measured<ListedAttempt>> => {
      const [use, held] = await Promise.all([
        // Its log and all else that lies beside its own folders.
        measureDisk([handle.folder], { levelsAbove: 1, isUrgent: true }, inTime).catch(unmeasured),
        lookUntilSeen(handle.job, join(handle.folder, 'work'), inTime),
      ])
      const sum = { bytes: use.bytes + held.diskBytes, files: use.files + held.diskFiles }
      if (use.trouble !== undefined && !use.cut) return { ...use, ...sum, handle }
      if (use.moved) return { ...sum, trouble: 'its folders move while they are measured', handle }
      if (held.unmeasured ?? held.hidden) return { ...sum, trouble: 'it hides its open files', handle }
      return { ...(inTime.aborted && { trouble: 'it takes too long', cut: true }), ...use, ...sum, handle }
    }),
  )
}

/** Returns what counts for a job that the machine cannot measure now: that it takes nothing. */
const unmeasured = (): DiskUse => ({ bytes: 0, files: 0 })

/** Resolves to what these processes hold. A file on its way through a socket is out of sight for a moment: then it looks
 *  again, as long as there is time. */
const lookUntilSeen = async (pids: readonly number[], folder: string, inTime: AbortSignal): Promise<Held> => {
  for (;;) {
    const held = await lookAtHeld(pids, { uid: undefined, folder, signal: inTime })
    if (held.hidden === undefined || inTime.aborted) return held
    await sleep(lookAgainMs)
  }
}
