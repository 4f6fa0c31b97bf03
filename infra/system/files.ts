import { open, stat } from 'node:fs/promises'
import { errorCode } from './errors.ts'

/** Returns undefined for the error of a file or folder that is not there, and throws any other error.
 *
 *  @example const text = await readFile(path, 'utf8').catch(unlessMissing) */
export const unlessMissing = (error: unknown): undefined => {
  const code = errorCode(error)
  if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
  throw error
}

/** Resolves to true when a file or folder with this path is there, for a link when its target is. Throws what the file
 *  system throws when it cannot find out. */
export const exists = async (path: string): Promise<boolean> => (await stat(path).catch(unlessMissing)) !== undefined

/** Syncs a folder: without this the name of a new file may be lost in a power cut, though its content was synced. */
export const syncFolder = async (path: string): Promise<void> => {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
