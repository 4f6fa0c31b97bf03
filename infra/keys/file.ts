import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Failure } from '../../domain/errors.ts'
import { makeFolders, storeOnce, unlessMissing } from '../system/files.ts'

const secretBytes = 32
/** At least what `secretBytes` are in base64url. A shorter one can be guessed; NUL bytes are what a crash leaves. */
const secretForm = /^[!-~]{43,}$/
const anyFix = 'put it back from a backup, or remove it: a new one is made'

/** Resolves to the secret in this file (mode 0600, its folder 0700), made at random the first time: 43 characters of
 *  base64url. Several processes that call it at once get the same secret. Throws KEY_FILE_INVALID for a file that holds no
 *  secret, and what the file system throws.
 *  @param fix what to do about such a file */
export const readOrCreateSecret = async (path: string, fix: string = anyFix): Promise<string> => {
  const existing = await readSecret(path, fix)
  if (existing !== undefined) return existing
  await makeFolders(dirname(path), 0o700)
  await storeOnce(path, `${randomBytes(secretBytes).toString('base64url')}\n`, 0o600)
  return (await readSecret(path, fix)) ?? readOrCreateSecret(path, fix)
}

/** Resolves to the secret in this file; undefined when there is no file. Throws as `readOrCreateSecret` does. */
export const readSecret = async (path: string, fix: string = anyFix): Promise<string | undefined> => {
  const text = (await readFile(path, 'utf8').catch(unlessMissing))?.trim()
  if (text === undefined || secretForm.test(text)) return text
  throw new Failure('KEY_FILE_INVALID', {
    file: path,
    why: `it has ${text.length} characters; a secret has 43 or more, letters, digits and signs of ASCII`,
    fix,
  })
}
