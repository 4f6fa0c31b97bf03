import { constants } from 'node:fs'
import { type FileHandle, lstat, open, opendir, statfs } from 'node:fs/promises'
import { createSemaphore } from '../../async/semaphore.ts'
import { errorCode } from '../../system/errors.ts'
import { unlessMissing } from '../../system/files.ts'
import { isFaultOfMachine } from './fault.ts'

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
 *  time. `moved` is true where a folder was gone each time that it was to be opened. */
export type DiskUse = {
  readonly bytes: number
  readonly files: number
  readonly trouble?: string
  readonly cut?: true
  readonly moved?: true
}
/** How often the names of a folder are read anew where a folder in it has moved meanwhile. */
const looksMax = 8
/** So many attempts are measured at once: each has a descriptor open for each level of its folders. What cannot wait for
 *  jobs that take minutes to measure has its own places. */
const [usual, urgent] = [createSemaphore(16), createSemaphore(16)]

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
/** The codes of a folder whose name leads to it no more. */
const goneCodes: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP'])

/** `levelsAbove` is how many levels the folders lie above those of the job; `isUrgent` whether it cannot wait for others. */
type Limits = {
  readonly bytesMax?: number
  readonly filesMax?: number
  readonly levelsAbove?: number
  readonly isUrgent?: boolean
}

/** Measures what the folders take on the disk, without following links, also where a job puts one in the place of a folder
 *  meanwhile. Stops once that is more than `bytesMax`, at more than `filesMax` files, or at folders that are too many, too
 *  deep or closed to this program: a job could hide files there. Goes from folder to folder by their descriptors, so that
 *  one that moves hides what lies in it from one look at most, and not from all. Reads a folder piece by piece, so that
 *  neither the loop nor the memory feels how large it is. When the signal aborts it resolves early, to what it has
 *  measured. Throws the error of a machine that has no descriptor or memory left, or cannot read its disk: it shows nothing of
 *  the job. */
export const measureDisk = (folders: readonly string[], limits: Limits, signal?: AbortSignal): Promise<DiskUse> =>
  (limits.isUrgent ? urgent : usual)(() => measureNow(folders, limits, signal))

type Trouble = Pick<DiskUse, 'trouble' | 'cut'>

/** Ends the measurement early. */
class Stop extends Error {
  readonly use: Trouble
  constructor(use: Trouble) {
    super('the measurement ends')
    this.use = use
  }
}

const measureNow = async (folders: readonly string[], limits: Limits, signal?: AbortSignal): Promise<DiskUse> => {
  const { bytesMax = Number.POSITIVE_INFINITY, filesMax = entriesMax, levelsAbove = 0 } = limits
  let [bytes, files, waiting] = [0, 0, 0]
  let hasMoved = false

  const addFile = async (path: Buffer) => {
    files += 1
    if (files > filesMax) throw new Stop({ trouble: `more than ${filesMax} files` })
    // The loop goes round for each file: its size comes from another thread.
    bytes += ((await lstat(path).catch(unlessMissing))?.blocks ?? 0) * blockBytes
    if (bytes > bytesMax) throw new Stop({})
  }
  /** Resolves to the names of the folders in a folder. Counts what is in it, unless that was done. */
  const readNames = async (here: string, isCounted: boolean): Promise<readonly string[]> => {
    const names: string[] = []
    for await (const entry of await opendir(here, { bufferSize: namesMax, encoding: 'latin1' as BufferEncoding })) {
      if (signal?.aborted) throw new Stop({ trouble: 'it takes too long', cut: true })
      if (!isCounted) await addFile(childOf(here, entry.name))
      if (!entry.isDirectory()) continue
      names.push(entry.name)
      if (waiting + names.length > foldersMax)
        throw new Stop({ trouble: `more than ${foldersMax} folders beside each other` })
    }
    return names
  }
  /** Measures a folder, unless it is in `known`, and adds it. Resolves to false where it is gone. */
  const measureFolder = async (path: Buffer, depth: number, known: Set<string>): Promise<boolean> => {
    if (depth > depthMax) throw new Stop({ trouble: `folders more than ${depthMax} deep` })
    let folder: FileHandle | undefined
    try {
      folder = await open(path, folderFlags)
      const { dev, ino } = await folder.stat()
      if (known.has(`${dev}/${ino}`)) return true
      known.add(`${dev}/${ino}`)
      await measureBelow(`/proc/self/fd/${folder.fd}`, depth)
      return true
    } catch (error) {
      if (error instanceof Stop) throw error
      if (goneCodes.has(errorCode(error))) return false
      if (isFaultOfMachine(error)) throw error
      throw new Stop({ trouble: `a folder cannot be read (${errorCode(error)})` })
    } finally {
      await folder?.close()
    }
  }
  const measureBelow = async (here: string, depth: number): Promise<void> => {
    const known = new Set<string>()
    let isWhole = false
    for (let looks = 0; !isWhole && looks < looksMax; looks++) {
      const names = await readNames(here, looks > 0)
      waiting += names.length
      isWhole = true
      for (const name of names) isWhole = (await measureFolder(childOf(here, name), depth + 1, known)) && isWhole
      waiting -= names.length
    }
    hasMoved ||= !isWhole
  }

  const outcome = (use: Trouble) => ({
    bytes,
    files,
    ...use,
    ...(hasMoved && { moved: true as const }),
  })
  try {
    for (const folder of folders) await measureFolder(Buffer.from(folder), -levelsAbove, new Set())
    return outcome({})
  } catch (error) {
    if (error instanceof Stop) return outcome(error.use)
    throw error
  }
}

/** Returns the path of a name in a folder. Each character of a name is a byte: it need not be UTF-8. */
const childOf = (folder: string, name: string): Buffer => Buffer.from(`${folder}/${name}`, 'latin1')
