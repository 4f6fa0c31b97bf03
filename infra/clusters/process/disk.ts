import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '../../system/errors.ts'
import { unlessMissing } from '../../system/files.ts'

const entriesMax = 500_000
/** How many folders may wait to be measured, beside or above each other. */
const foldersMax = 50_000
const depthMax = 200
const blockBytes = 512
/** How many names of a folder are in memory at once. */
const namesMax = 256

/** `trouble` is why not everything could be measured, `cut` whether only for want of time. */
export type DiskUse = { readonly bytes: number; readonly trouble?: string; readonly cut?: true }

/** The path of the parent is one text for all folders in it. */
type Waiting = { readonly parent: string; readonly name: string; readonly depth: number }

/** Measures what the folders take on the disk, without following links. Stops once that is more than `bytesMax`, or at
 *  folders that are too many, too deep or closed to this program: a job could hide files there. Reads a folder piece by
 *  piece, so that neither the loop nor the memory feels how large it is. When the signal aborts it resolves early, to
 *  what it has measured. */
export const measureDisk = async (
  folders: readonly string[],
  bytesMax: number,
  signal?: AbortSignal,
): Promise<DiskUse> => {
  let [bytes, entries] = [0, 0]
  const open: Waiting[] = folders.map((path) => ({ parent: path, name: '', depth: 0 }))
  for (let next = open.pop(); next; next = open.pop()) {
    const { parent, name, depth } = next
    const path = join(parent, name)
    if (depth > depthMax) return { bytes, trouble: `folders more than ${depthMax} deep` }
    try {
      for await (const entry of await opendir(path, { bufferSize: namesMax })) {
        if (signal?.aborted) return { bytes, trouble: 'it takes too long', cut: true }
        entries += 1
        if (entries > entriesMax) return { bytes, trouble: `more than ${entriesMax} files` }
        if (entry.isDirectory()) open.push({ parent: path, name: entry.name, depth: depth + 1 })
        if (open.length > foldersMax) return { bytes, trouble: `more than ${foldersMax} folders beside each other` }
        // The loop goes round for each file: its size comes from another thread.
        bytes += ((await lstat(join(path, entry.name)).catch(unlessMissing))?.blocks ?? 0) * blockBytes
        if (bytes > bytesMax) return { bytes }
      }
    } catch (error) {
      const code = errorCode(error)
      // The job has removed it meanwhile.
      if (code === 'ENOENT' || code === 'ENOTDIR') continue
      return { bytes, trouble: `a folder cannot be read (${code})` }
    }
  }
  return { bytes }
}
