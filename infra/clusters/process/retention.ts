/** Removes what attempts have left: the files of the job soon after its end, its log when that is old. */
import { lstat, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { JobHandle } from '../port.ts'
import { attemptFolder, outputBytes } from './folder.ts'
import { readLaunch } from './reading.ts'
import { removeFolders, removeJobFiles } from './removal.ts'
import { releaseUid } from './uids.ts'

const hourMs = 3_600_000
/** How many errors one message has. */
const errorsMax = 5
export const retention = {
  /** How long the files of a job stay after its end. */
  filesMsMax: hourMs,
  /** How long its log stays, where there is room. */
  logMsMax: 30 * 24 * hourMs,
  /** How long its log stays in any case. */
  logMsMin: 24 * hourMs,
  /** How much all logs may take before the oldest ones go. */
  logBytesMax: 20 * 1024 ** 3,
}

/** An attempt that has ended: `endedMs` in milliseconds since 1970, `bytes` of its log. */
export type EndedAttempt = { readonly handle: JobHandle; readonly endedMs: number; readonly bytes: number }

/** Returns the attempts whose files go, and those of which nothing stays. Pure. */
export const pickRemovals = (
  attempts: readonly EndedAttempt[],
  nowMs: number,
  limits = retention,
): { readonly files: EndedAttempt[]; readonly whole: EndedAttempt[] } => {
  const newestFirst = attempts.toSorted((a, b) => b.endedMs - a.endedMs)
  let bytes = 0
  const whole = newestFirst.filter((attempt) => {
    const age = nowMs - attempt.endedMs
    bytes += attempt.bytes
    return age > limits.logMsMax || (age > limits.logMsMin && bytes > limits.logBytesMax)
  })
  const files = newestFirst.filter((one) => nowMs - one.endedMs > limits.filesMsMax && !whole.includes(one))
  return { files, whole }
}

/** Removes the files of attempts that have ended, whatever their age; their logs and outcomes stay. What of one cannot be
 *  removed holds up no other. Throws as `removeOld` does. */
export const removeFiles = async (folders: readonly string[], signal?: AbortSignal): Promise<void> => {
  const errors: unknown[] = []
  for (const folder of folders)
    if (!signal?.aborted) await removeJobFiles(folder, signal).catch((error: unknown) => errors.push(error))
  throwAll(errors, signal)
}

const throwAll = (errors: readonly unknown[], signal: AbortSignal | undefined): void => {
  if (errors.length > 0 && !signal?.aborted)
    throw new AggregateError(errors.slice(0, errorsMax), `${errors.length} attempts cannot be removed`)
}

/** Removes what is due of the attempts, none of which has a process. What of one cannot be removed holds up no other;
 *  throws it at the end. When the signal aborts it leaves the rest for the next time. */
export const removeOld = async (
  root: string,
  handles: readonly JobHandle[],
  nowMs: number,
  signal?: AbortSignal,
): Promise<void> => {
  const ended: EndedAttempt[] = []
  for (const handle of handles) {
    const folder = attemptFolder(root, handle)
    const found = (path: string) => lstat(path).catch(() => undefined)
    const dated = (await found(join(folder, 'output.log'))) ?? (await found(folder))
    if (dated) ended.push({ handle, endedMs: dated.mtimeMs, bytes: await outputBytes(folder) })
  }
  const { files, whole } = pickRemovals(ended, nowMs)
  const errors: unknown[] = []
  const attempt = async (work: () => Promise<void>) => {
    if (!signal?.aborted) await work().catch((error: unknown) => errors.push(error))
  }
  for (const { handle } of files) {
    const folder = attemptFolder(root, handle)
    await attempt(() => removeJobFiles(folder, signal))
  }
  for (const { handle } of whole)
    await attempt(async () => {
      const folder = attemptFolder(root, handle)
      const uid = (await readLaunch(folder))?.uid
      await removeJobFiles(folder, signal)
      await removeFolders([folder], signal)
      if (uid !== undefined) await releaseUid(root, uid)
      // Other attempts of the job may be left.
      await rmdir(dirname(folder)).catch(() => undefined)
    })
  throwAll(errors, signal)
}
