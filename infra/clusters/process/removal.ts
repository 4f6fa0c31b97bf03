/** Removes folders in which a job can still write: it may have given one of them, open, to another job that runs on. That
 *  one moves files and links about while they are removed, so nothing here changes or opens anything by a name of which
 *  the last step may be a link by then. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, open, opendir, rename } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { errorCode } from '../../system/errors.ts'
import { exists, makeFolders, unlessMissing } from '../../system/files.ts'

/** O_PATH, which Node has no name for: it opens also what is closed to its owner. */
const byPath = 0o10_000_000
const folderFlags = byPath | constants.O_DIRECTORY | constants.O_NOFOLLOW

/** What a job may write in the folder of its attempt, and where its file tree is built. */
const names = ['work', 'tmp', 'jail']
/** How long the removal of one attempt may take: another job may add files as fast as they are removed. */
const removeMsMax = 600_000

/** Removes folders as `rm` does: however deep, through no link, on no other file system. GNU rm goes from folder to folder
 *  by descriptors, and removes names. Another process does the work, piece by piece, so that the loop does not feel how
 *  many files there are. */
export const removeFolders = async (paths: readonly string[], signal?: AbortSignal): Promise<void> => {
  await promisify(execFile)('rm', ['-rf', '--one-file-system', '--', ...paths], { signal })
}

const unlessReplaced = (error: unknown): undefined => {
  if (errorCode(error) === 'ELOOP') return undefined
  return unlessMissing(error)
}

/** Opens a folder to its owner, whatever mode its job gave it, and calls `work` with a path that stays this folder,
 *  wherever its name leads by now. */
const opened = async (path: string | Buffer, work: (here: string) => Promise<void>): Promise<void> => {
  const folder = await open(path, folderFlags).catch(unlessReplaced)
  if (!folder) return
  try {
    const here = `/proc/self/fd/${folder.fd}`
    await chmod(here, 0o700)
    await work(here)
  } finally {
    await folder.close()
  }
}

/** Opens these folders and all below them to their owner. It moves them side by side to `place`, so that it needs neither
 *  long paths nor many descriptors, however deep they are. A rename follows no link in its last step. */
const flatten = async (paths: readonly string[], place: string, signal: AbortSignal): Promise<void> => {
  let made = 0
  const moveFolders = async (here: string) => {
    // Each character a byte: a name need not be UTF-8.
    for await (const entry of await opendir(here, { encoding: 'latin1' as BufferEncoding })) {
      if (signal.aborted) return
      const [from, to] = [Buffer.from(join(here, entry.name), 'latin1'), join(place, String(made))]
      if (!entry.isDirectory() || entry.name === basename(place)) continue
      made += 1
      // Linux moves no folder that is closed to its owner.
      await opened(from, () => rename(from, to).catch(unlessReplaced))
    }
  }
  for (const path of paths) await opened(path, moveFolders)
  for (let done = 0; done < made && !signal.aborted; done++) await opened(join(place, String(done)), moveFolders)
}

/** Removes the files of an attempt, whatever their modes. Root removes also what its owner has closed; for others it is
 *  opened first. Throws where something is left, for instance because another job goes on writing there: that is for the
 *  next time. */
export const removeJobFiles = async (folder: string, stop?: AbortSignal): Promise<void> => {
  const paths: string[] = []
  for (const name of names) if (await exists(join(folder, name))) paths.push(join(folder, name))
  if (paths.length === 0) return
  const timeout = AbortSignal.timeout(removeMsMax)
  const signal = stop ? AbortSignal.any([stop, timeout]) : timeout
  try {
    await removeFolders(paths, signal)
  } catch (error) {
    if (signal.aborted || process.getuid?.() === 0) throw error
    const jail = join(folder, 'jail')
    const place = join(jail, randomUUID())
    await makeFolders(place, 0o700)
    await flatten([...paths, jail], place, signal)
    await removeFolders([...paths, jail], signal)
  }
}
