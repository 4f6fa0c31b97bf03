import { randomBytes } from 'node:crypto'
import { link, open, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Failure } from '../../domain/errors.ts'
import { errorCode } from '../system/errors.ts'
import { makeFolders, unlessMissing } from '../system/files.ts'

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
  const draft = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  const file = await open(draft, 'wx', 0o600)
  try {
    await file.writeFile(`${randomBytes(secretBytes).toString('base64url')}\n`)
    await file.sync()
    // A link fails where a rename would replace: the second process takes the secret of the first one.
    await link(draft, path).catch((error: unknown) => {
      if (errorCode(error) !== 'EEXIST') throw error
    })
  } finally {
    await file.close()
    await rm(draft, { force: true })
  }
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
