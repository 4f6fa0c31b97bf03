import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '../../system/errors.ts'

const entriesMax = 500_000
const depthMax = 200
const blockBytes = 512

/** `trouble` is why not everything could be measured. */
export type DiskUse = { readonly bytes: number; readonly trouble?: string }

/** Measures what the folders take on the disk, without following links. Stops once that is more than `bytesMax`, or at
 *  folders that are too many, too deep or closed to this program: a job could hide files there. */
export const measureDisk = async (folders: readonly string[], bytesMax: number): Promise<DiskUse> => {
  let [bytes, entries] = [0, 0]
  const open = folders.map((path) => ({ path, depth: 0 }))
  for (let next = open.pop(); next; next = open.pop()) {
    const { path, depth } = next
    if (depth > depthMax) return { bytes, trouble: `folders more than ${depthMax} deep` }
    try {
      for (const entry of await readdir(path, { withFileTypes: true })) {
        entries += 1
        if (entries > entriesMax) return { bytes, trouble: `more than ${entriesMax} files` }
        const place = join(path, entry.name)
        if (entry.isDirectory()) open.push({ path: place, depth: depth + 1 })
        bytes += (await lstat(place)).blocks * blockBytes
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
