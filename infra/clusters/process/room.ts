/** Keeps room on the disk of the jobs: on the same disk lie, as a rule, the database and the log of the platform. */
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../../domain/errors.ts'
import type { JobHandle, JobOutcome } from '../port.ts'
import type { Attempts, ListedAttempt } from './attempts.ts'
import { measureDisk } from './disk.ts'
import type { ClusterLog } from './follow.ts'
import { removeFiles } from './retention.ts'

/** How much of the disk stays free of jobs: this much, or this part of a smaller disk. */
const reserveBytesMax = 512 * 1024 ** 2
const reserveShare = 0.05
/** A job that takes less than this part of the reserve is not ended for it. */
const smallShare = 1 / 16
/** How long all running jobs together are measured: meanwhile the disk goes on filling. */
const measureMsMax = 1_000
/** How many jobs are ended in one look, one after the other. */
const endsMax = 100

export type Room = { readonly freeBytes: number; readonly reserveBytes: number }

/** Resolves to what other users than root may still write to the disk of a folder, and how much of it jobs leave. */
export const readRoom = async (root: string): Promise<Room> => {
  const { bavail, blocks, bsize } = await statfs(root)
  // Some file systems have no size.
  if (blocks === 0) return { freeBytes: Number.POSITIVE_INFINITY, reserveBytes: 0 }
  return { freeBytes: bavail * bsize, reserveBytes: Math.min(reserveBytesMax, reserveShare * blocks * bsize) }
}

const isLow = ({ freeBytes, reserveBytes }: Room): boolean => freeBytes < reserveBytes

const mib = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2)} MiB`

/** Resolves to how much a job that starts now may write. Throws CLUSTER_UNAVAILABLE where the reserve is all that is
 *  left. */
export const diskBytesAtStart = async (root: string, bytesMax: number): Promise<number> => {
  const room = await readRoom(root)
  const { freeBytes, reserveBytes } = room
  if (isLow(room))
    throw new Failure('CLUSTER_UNAVAILABLE', {
      reason: `the disk of the jobs has ${mib(freeBytes)} free, and ${mib(reserveBytes)} of it are kept for the platform`,
    })
  return Math.min(bytesMax, Math.floor(freeBytes - reserveBytes))
}

export type RoomOptions = {
  readonly root: string
  readonly attempts: Attempts
  readonly log: ClusterLog
  /** Returns what an attempt holds of the disk without a name, in bytes. */
  readonly namelessDiskBytes: (handle: JobHandle) => number
  /** Calls this before the first signal where the verdict could not be written. */
  readonly onUnwritten: (handle: JobHandle, verdict: JobOutcome) => void
  readonly signal?: AbortSignal
}

/** Makes room where less than the reserve is free: removes the files of the attempts that have ended, then ends running
 *  ones with JOB_DISK_EXCEEDED, the largest first. Resolves to whether there was too little. */
export const makeRoom = async (options: RoomOptions): Promise<boolean> => {
  const { root, attempts, log, signal } = options
  const room = await readRoom(root)
  if (!isLow(room)) return false
  const ended = (await attempts.list()).filter(({ running, hasBegun }) => !running && hasBegun)
  await removeFiles(
    ended.map(({ folder }) => folder),
    signal,
  )
  for (let ends = 0; ends < endsMax && !signal?.aborted; ends++) {
    const { freeBytes, reserveBytes } = await readRoom(root)
    if (freeBytes >= reserveBytes) break
    const largest = await findLargest(options)
    if (!largest || largest.bytes < reserveBytes * smallShare) break
    const { folder, jobId, attempt } = largest.handle
    log.warn(
      { jobId, attempt, bytes: largest.bytes, freeBytes, reserveBytes },
      'the disk is nearly full: a job is ended',
    )
    const message = `The disk of the machine was nearly full, and of all jobs it took most, ${largest.bytes} bytes.`
    const verdict = { ended: 'failed', code: 'JOB_DISK_EXCEEDED', message } as const
    await attempts.end(folder, verdict, () => options.onUnwritten({ jobId, attempt }, verdict))
    await removeFiles([folder], signal)
  }
  return true
}

/** Resolves to the running attempt that takes most of the disk, as far as it can be measured in time. */
const findLargest = async ({ attempts, namelessDiskBytes, signal }: RoomOptions) => {
  const running = (await attempts.list()).filter((one) => one.running)
  const timeout = AbortSignal.timeout(measureMsMax)
  const inTime = signal ? AbortSignal.any([signal, timeout]) : timeout
  const measure = async (handle: ListedAttempt) => {
    const folders = ['work', 'tmp'].map((name) => join(handle.folder, name))
    const use = await measureDisk(folders, Number.MAX_SAFE_INTEGER, inTime)
    return { handle, bytes: use.bytes + namelessDiskBytes(handle) }
  }
  const measured = await Promise.all(running.map(measure))
  return measured.toSorted((a, b) => b.bytes - a.bytes)[0]
}
