import { join } from 'node:path'
import { Failure } from '../../domain/errors.ts'
import { readOrCreateSecret, readSecret } from '../keys/file.ts'
import { errorCode } from '../system/errors.ts'
import { exists } from '../system/files.ts'

const fix =
  'put it back from a backup of this data folder, or give the database a new password: docs/operating.md, The data folder'
/** The SQLSTATE of a wrong password. */
const wrongPassword = '28P01'

const fileIn = (folder: string): string => join(folder, 'keys', 'postgres')

/** Resolves to the password of the database of a data folder; undefined when there is none yet. Throws
 *  KEY_FILE_INVALID. */
export const readPassword = (folder: string): Promise<string | undefined> => readSecret(fileIn(folder), fix)

/** Resolves to the password of the database of a data folder, made at random before there is a database. Throws
 *  KEY_FILE_INVALID. */
export const readOrCreatePassword = async (folder: string): Promise<string> => {
  const file = fileIn(folder)
  if ((await exists(join(folder, 'postgres'))) && (await readPassword(folder)) === undefined)
    throw new Failure('KEY_FILE_INVALID', { file, why: 'it is missing, and the database asks for it', fix })
  return readOrCreateSecret(file, fix)
}

/** Throws KEY_FILE_INVALID for the error of a database that has refused the password of its data folder, and any other
 *  error as it is. */
export const explainRefusal = (folder: string, error: unknown): never => {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (errorCode(cause) === wrongPassword)
      throw new Failure('KEY_FILE_INVALID', { file: fileIn(folder), why: 'the database refuses it', fix }, error)
  throw error
}
