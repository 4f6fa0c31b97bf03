import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorCode } from '../system/errors.ts'
import { unlessMissing } from '../system/files.ts'

const secretBytes = 32

/** Resolves to the secret in this file (mode 0600, its folder 0700), made at random the first time: 43 characters of
 *  base64url. Several processes that call it at once get the same secret. Throws what the file system throws. */
export const readOrCreateSecret = async (path: string): Promise<string> => {
  const existing = await readSecret(path)
  if (existing !== undefined) return existing
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
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
  return (await readFile(path, 'utf8')).trim()
}

const readSecret = async (path: string): Promise<string | undefined> =>
  (await readFile(path, 'utf8').catch(unlessMissing))?.trim()
