import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import {
  closeToOthers,
  environmentFilesOf,
  keyFilesOf,
  ownUser,
  privatePathsIn,
  secretFilesIn,
} from './secret-files.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-secrets-'))
})
afterEach(() => rm(folder, { recursive: true }))

const modeOf = async (path: string) => (await stat(path)).mode & 0o777

test('the files of settings and all keys are secret; the example and other files are not', async () => {
  await mkdir(join(folder, 'keys'))
  const secrets = ['.env', '.env.production', '.env-old', '.env~', '.env.example.mine', 'keys/jwt', 'keys/old']
  for (const name of [...secrets, '.env.example', '.envoy', 'main.ts']) await writeFile(join(folder, name), '')
  const found = await secretFilesIn([folder, join(folder, 'missing')])
  expect(found.toSorted()).toEqual(secrets.map((name) => join(folder, name)).toSorted())
})

test('the files that Node reads settings from are found in its arguments, however they are written', () =>
  expect(
    environmentFilesOf(
      [
        '--env-file=.env',
        '--inspect',
        '--env-file-if-exists=/etc/a=b',
        '--env-file',
        'c',
        '--env-files=x',
        '--env-file',
      ],
      '/app',
    ),
  ).toEqual(['/app/.env', '/etc/a=b', '/app/c']))

test('the files with a key that addresses of servers name are found; their certificates are not', () =>
  expect(
    keyFilesOf(
      [
        'postgres://u:p@db/n?sslcert=/etc/c.pem&sslkey=/etc/a%20key&sslrootcert=/etc/r.pem',
        'esdb://u:p@h?tls=true&userCertFile=/c&userKeyFile=key&sslkey=',
        'postgres://localhost/n',
        undefined,
      ],
      '/app',
    ),
  ).toEqual(['/etc/a key', '/app/key']))

test('what others may read, write or execute is taken from them, also behind a link, and told once', async () => {
  const paths: string[] = []
  for (const mode of [0o644, 0o602, 0o601, 0o777, 0o600, 0o640]) {
    const path = join(folder, mode.toString(8))
    await writeFile(path, 'secret')
    await chmod(path, mode)
    paths.push(path)
  }
  await symlink(join(folder, '644'), join(folder, 'link'))
  const asked = [join(folder, 'link'), ...paths, join(folder, 'missing'), folder]
  expect(await closeToOthers(asked)).toEqual(['link', '602', '601', '777'].map((name) => join(folder, name)))
  for (const path of paths.slice(0, 5)) expect(await modeOf(path)).toBe(0o600)
  expect(await modeOf(join(folder, '640'))).toBe(0o640)
  expect(await closeToOthers(asked)).toEqual([])
})

test('a file that cannot be closed is refused by its name, with the fix', () =>
  // No one may change the mode of a file of a process.
  expect(closeToOthers(['/proc/self/stat'])).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    details: { file: '/proc/self/stat', fix: expect.stringContaining('chmod 600 /proc/self/stat') },
  }))

test('what others may not read is found, the upper levels first, and of other users nothing', async () => {
  const put = async (name: string, mode: number) => {
    const path = join(folder, name)
    await (name.endsWith('/') ? mkdir(path) : writeFile(path, ''))
    await chmod(path, mode)
  }
  const modes = {
    'a/': 0o755,
    'a/key': 0o600,
    'a/open': 0o604,
    'b/': 0o700,
    'b/key': 0o600,
    'c/': 0o711,
    'c/key': 0o640,
  }
  for (const [name, mode] of Object.entries({ ...modes, key: 0o640, open: 0o644 })) await put(name, mode)
  await symlink(join(folder, 'key'), join(folder, 'link'))
  const find = async (user: ReturnType<typeof ownUser>, bounds = {}) => {
    const { paths, complete } = await privatePathsIn([folder, join(folder, 'missing')], user, bounds)
    return { found: paths.map((path) => path.slice(folder.length + 1)), complete }
  }
  const all = await find(ownUser())
  expect(all.found.slice(0, 2).toSorted()).toEqual(['b', 'key'])
  expect(all.found.slice(2).toSorted()).toEqual(['a/key', 'c/key'])
  expect(all.complete).toBe(true)
  const { gid } = await stat(join(folder, 'key'))
  expect((await find({ uid: 4_000_000, gids: [gid] })).found).toHaveLength(4)
  expect(await find({ uid: 4_000_000, gids: [4_000_000] })).toEqual({ found: [], complete: true })
  expect(await find(ownUser(), { pathsMax: 1 })).toMatchObject({ found: [expect.any(String)], complete: false })
  expect((await find(ownUser(), { entriesMax: 5 })).complete).toBe(false)
})
