import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { readOrCreateSecret } from './file.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-keys-'))
})
afterEach(() => rm(folder, { recursive: true }))

test('a secret is made once, long enough, and hidden from other users', async () => {
  const path = join(folder, 'keys', 'jwt')
  const secret = await readOrCreateSecret(path)
  expect(secret).toMatch(/^[\w-]{43}$/)
  expect(await readOrCreateSecret(path)).toBe(secret)
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  expect((await stat(join(folder, 'keys'))).mode & 0o777).toBe(0o700)
})

test('all callers at once get the same secret, and no draft is left', async () => {
  const path = join(folder, 'jwt')
  const secrets = await Promise.all(Array.from({ length: 20 }, () => readOrCreateSecret(path)))
  expect(new Set(secrets).size).toBe(1)
  expect(await readdir(folder)).toEqual(['jwt'])
})

test('two secrets differ', async () => {
  expect(await readOrCreateSecret(join(folder, 'a'))).not.toBe(await readOrCreateSecret(join(folder, 'b')))
})

test.each([
  ['empty', ''],
  ['cut', 'x'],
  ['one character short', 's'.repeat(42)],
  ['zeros of a crash', '\0'.repeat(44)],
  ['no text', Buffer.alloc(44, 0xff)],
  ['several lines', `${'s'.repeat(43)}\n${'s'.repeat(43)}`],
])('a file that is damaged (%s) is no secret, and stays as it is', async (_, content) => {
  const path = join(folder, 'jwt')
  await writeFile(path, content)
  await expect(readOrCreateSecret(path)).rejects.toMatchObject({
    code: 'KEY_FILE_INVALID',
    details: { file: path, fix: expect.stringContaining('backup') },
  })
  expect(await readdir(folder)).toEqual(['jwt'])
})

test('a secret of an operator is taken as it is', async () => {
  const own = 'q1/+q2=='.repeat(8)
  await writeFile(join(folder, 'jwt'), `${own}\n`)
  expect(await readOrCreateSecret(join(folder, 'jwt'))).toBe(own)
})
