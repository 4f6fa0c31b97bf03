import { constants } from 'node:fs'
import { type FileHandle, lstat, open, opendir, readlink, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '../../system/errors.ts'
import { unlessMissing } from '../../system/files.ts'

/** How many files one attempt may have, where the disk has no number of files. */
const entriesMax = 500_000
/** How many folders may wait to be measured, beside or above each other. */
const foldersMax = 50_000
const depthMax = 200
const blockBytes = 512
/** How much of the disk stays free of jobs: this much, or this part of a smaller disk. */
const reserveBytesMax = 512 * 1024 ** 2
const reserveShare = 0.05
/** The same for the files that may still be made: jobs make some 100,000 a second. */
const reserveFilesMax = 262_144
/** The part of all files of the disk that one attempt may have. */
const filesShare = 0.25
/** How many names of a folder are in memory at once. */
const namesMax = 256

/** What a disk may lack: room for bytes, or for more files, of which most file systems have a number (inodes). */
export type Scarce = 'bytes' | 'files'
/** `filesMax` is how many files one attempt may have. */
export type Room = {
  readonly freeBytes: number
  readonly reserveBytes: number
  readonly freeFiles: number
  readonly reserveFiles: number
  readonly filesMax: number
}

/** Resolves to what other users than root may still write to the disk of a folder, and how much of it jobs leave. */
export const readRoom = async (root: string): Promise<Room> => {
  const { bavail, blocks, bsize, ffree, files } = await statfs(root)
  // Some file systems have no size, and some no number of files.
  const bytes =
    blocks === 0
      ? { freeBytes: Number.POSITIVE_INFINITY, reserveBytes: 0 }
      : { freeBytes: bavail * bsize, reserveBytes: Math.min(reserveBytesMax, reserveShare * blocks * bsize) }
  if (files === 0) return { ...bytes, freeFiles: Number.POSITIVE_INFINITY, reserveFiles: 0, filesMax: entriesMax }
  const reserveFiles = Math.min(reserveFilesMax, Math.ceil(reserveShare * files))
  const filesMax = Math.min(entriesMax, Math.max(1, Math.floor(filesShare * files)))
  return { ...bytes, freeFiles: ffree, reserveFiles, filesMax }
}

/** Returns what a disk lacks; undefined when it has room. */
export const scarceIn = ({ freeBytes, reserveBytes, freeFiles, reserveFiles }: Room): Scarce | undefined => {
  if (freeBytes < reserveBytes) return 'bytes'
  return freeFiles < reserveFiles ? 'files' : undefined
}

/** `files` are the names that were found. `trouble` is why not everything could be measured, `cut` whether only for want of
 *  time. `moved` is true where a folder was not where it had been found a moment before, each time. */
export type DiskUse = {
  readonly bytes: number
  readonly files: number
  readonly trouble?: string
  readonly cut?: true
  readonly moved?: true
}
/** How often it is measured anew where folders have moved meanwhile. */
const looksMax = 4

/** The path of the parent is one text for all folders in it. Each of its characters is a byte: a name need not be UTF-8. */
type Waiting = { readonly parent: string; readonly name: string; readonly depth: number }

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
const bytesOf = (path: string): Buffer => Buffer.from(path, 'latin1')

/** `levelsAbove` is how many levels the folders lie above those of the job. */
type Limits = { readonly bytesMax?: number; readonly filesMax?: number; readonly levelsAbove?: number }

/** Measures what the folders take on the disk, without following links, also where a job puts one in the place of a folder
 *  meanwhile. Stops once that is more than `bytesMax`, at more than `filesMax` files, or at folders that are too many, too
 *  deep or closed to this program: a job could hide files there. Where folders move meanwhile it looks again, and takes the
 *  most that it has found. Reads a folder piece by piece, so that neither the loop nor the memory feels how large it is.
 *  When the signal aborts it resolves early, to what it has measured. */
export const measureDisk = async (
  folders: readonly string[],
  limits: Limits,
  signal?: AbortSignal,
): Promise<DiskUse> => {
  let use = await measureOnce(folders, limits, signal)
  for (let looks = 1; use.moved && looks < looksMax && !signal?.aborted; looks++) {
    const next = await measureOnce(folders, limits, signal)
    use = { ...next, bytes: Math.max(use.bytes, next.bytes), files: Math.max(use.files, next.files) }
  }
  return use
}

const measureOnce = async (folders: readonly string[], limits: Limits, signal?: AbortSignal): Promise<DiskUse> => {
  const { bytesMax = Number.POSITIVE_INFINITY, filesMax = entriesMax, levelsAbove = 0 } = limits
  let [bytes, files] = [0, 0]
  let hasMoved = false
  const waiting: Waiting[] = folders.map((path) => ({
    parent: Buffer.from(path).toString('latin1'),
    name: '',
    depth: -levelsAbove,
  }))
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { parent, name, depth } = next
    if (depth > depthMax) return { bytes, files, trouble: `folders more than ${depthMax} deep` }
    let folder: FileHandle | undefined
    try {
      folder = await open(bytesOf(join(parent, name)), folderFlags)
      // The way through the descriptor stays the same folder, wherever its name leads by now.
      const here = `/proc/self/fd/${folder.fd}`
      const place = await readlink(here, 'latin1')
      // A link on the way has led elsewhere, or the job has moved it.
      if (name !== '' && place !== join(parent, name)) {
        hasMoved = true
        continue
      }
      for await (const entry of await opendir(here, { bufferSize: namesMax, encoding: 'latin1' as BufferEncoding })) {
        if (signal?.aborted) return { bytes, files, trouble: 'it takes too long', cut: true }
        files += 1
        if (files > filesMax) return { bytes, files, trouble: `more than ${filesMax} files` }
        if (entry.isDirectory()) waiting.push({ parent: place, name: entry.name, depth: depth + 1 })
        if (waiting.length > foldersMax)
          return { bytes, files, trouble: `more than ${foldersMax} folders beside each other` }
        // The loop goes round for each file: its size comes from another thread.
        bytes += ((await lstat(bytesOf(join(here, entry.name))).catch(unlessMissing))?.blocks ?? 0) * blockBytes
        if (bytes > bytesMax) return { bytes, files }
      }
    } catch (error) {
      const code = errorCode(error)
      // The job has removed or moved it meanwhile.
      if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') {
        hasMoved ||= name !== ''
        continue
      }
      return { bytes, files, trouble: `a folder cannot be read (${code})` }
    } finally {
      await folder?.close()
    }
  }
  return { bytes, files, ...(hasMoved && { moved: true }) }
}
