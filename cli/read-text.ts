import { readFile, stat } from 'node:fs/promises'
import { Failure } from '../domain/errors.ts'
import { userPath } from './user-path.ts'

const fileBytesMax = 256 * 1024 * 1024

/** Resolves to the text of a file that a user has named. Throws PATH_UNUSABLE for a folder and INPUT_INVALID for a file
 *  above 256 MiB; what the file system throws for one that cannot be read has the path too. */
export const readText = async (name: string): Promise<string> => {
  const file = userPath(name)
  const found = await stat(file)
  if (found.isDirectory()) throw new Failure('PATH_UNUSABLE', { path: file, reason: 'it is a folder' })
  if (found.size > fileBytesMax) throw new Failure('INPUT_INVALID', { file, takes: `at most ${fileBytesMax} bytes` })
  return readFile(file, 'utf8')
}
