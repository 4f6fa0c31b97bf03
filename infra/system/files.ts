import { stat } from 'node:fs/promises'

/** Returns undefined for the error of a file or folder that is not there, and throws any other error.
 *
 *  @example const text = await readFile(path, 'utf8').catch(unlessMissing) */
export const unlessMissing = (error: unknown): undefined => {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
  throw error
}

/** Resolves to true when a file or folder with this path is there, for a link when its target is. Throws what the file
 *  system throws when it cannot find out. */
export const exists = async (path: string): Promise<boolean> => (await stat(path).catch(unlessMissing)) !== undefined
