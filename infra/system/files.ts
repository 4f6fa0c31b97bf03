import { randomUUID } from 'node:crypto'
import { link, mkdir, open, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
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

/** Makes one folder after the other: a recursive mkdir never ends where no folder can be made, for instance below
 *  /proc. `mode` is that of the last one. Resolves to true when the folder is new. */
export const makeFolders = async (folder: string, mode = 0o777): Promise<boolean> => {
  if (await exists(folder)) return false
  if (dirname(folder) !== folder) await makeFolders(dirname(folder))
  await mkdir(folder, { mode }).catch((error: unknown) => {
    if (errorCode(error) !== 'EEXIST') throw error
  })
  return true
}

/** Stores a file whole or not at all, where none is yet, and syncs it. Where one is, that one stays: of several
 *  processes the first one's counts, so read it afterwards. */
export const storeOnce = async (path: string, text: string, mode: number): Promise<void> => {
  const draft = `${path}.${process.pid}.${randomUUID()}`
  const file = await open(draft, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
    // A link fails where a rename would replace.
    await link(draft, path).catch((error: unknown) => {
      if (errorCode(error) !== 'EEXIST') throw error
    })
  } finally {
    await file.close()
    await rm(draft, { force: true })
  }
}
