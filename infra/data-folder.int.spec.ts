import { execFile, spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../domain/errors.ts'
import { enterNamespace, isRunning, runChild } from '../testing/children.ts'
import { eventually } from '../testing/eventually.ts'
import { openDataFolder } from './data-folder.ts'

const module = pathToFileURL(join(import.meta.dirname, 'data-folder.ts')).href
const holdScript = (path: string, uid?: number) => `
  const { openDataFolder } = await import(${JSON.stringify(module)})
  ${uid === undefined ? '' : `process.setuid(${uid})`}
  try {
    await openDataFolder(${JSON.stringify(path)}, { warn: ({ reason }) => console.error(reason) })
    console.log('won')
    setInterval(() => {}, 1000)
  } catch (error) {
    console.log(error.code ?? error.stack)
  }`

let parent = ''
let folder = ''
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'neuralmesh-folder-'))
  await chmod(parent, 0o755)
  folder = join(parent, 'a', '.data')
})
afterEach(() => rm(parent, { recursive: true }))

const failureOf = async (path: string): Promise<Failure> => {
  const error = await openDataFolder(path).then(
    () => new Error('it opened'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof Failure) return error
  throw error
}

/** Leaves the lock of a process that has ended, with other content. */
const leaveLock = async (change: object): Promise<{ pid: number; host?: string }> => {
  await (await openDataFolder(folder)).close()
  const lock = join(folder, 'lock', '1')
  const content = { ...JSON.parse(await readFile(lock, 'utf8')), released: false, ...change }
  await writeFile(lock, JSON.stringify(content))
  return content
}

test('makes a folder that other users may pass through, with its version in it', async () => {
  const opened = await openDataFolder(folder)
  expect(opened.path).toBe(folder)
  expect((await stat(folder)).mode & 0o777).toBe(0o711)
  expect(JSON.parse(await readFile(join(folder, 'neuralmesh.json'), 'utf8'))).toEqual({ format: 1 })
  await opened.close()
})

const ifRoot = process.getuid?.() === 0 ? test : test.skip
test.each([0o755, 0o777, 0o705, 0o700])(
  'a folder of mode %o that was there keeps all but being opened by others',
  async (mode) => {
    await mkdir(folder, { recursive: true })
    await chmod(folder, mode)
    await (await openDataFolder(folder)).close()
    expect((await stat(folder)).mode & 0o777).toBe(mode & 0o773)
  },
)

ifRoot('another user can lock nothing that a start waits for (only root may become one)', async () => {
  await (await openDataFolder(folder)).close()
  const paths = ['.', 'lock/held'].map((path) => join(folder, path))
  const asOther = paths.map((path) => promisify(execFile)('flock', ['-x', path, 'true'], { uid: 65_534, gid: 65_534 }))
  const locked = await Promise.allSettled(asOther)
  expect(locked.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
})

describe('only one at a time', () => {
  test('a living holder is named', async () => {
    const opened = await openDataFolder(folder)
    const failure = await failureOf(folder)
    expect([failure.code, failure.details]).toEqual(['DATA_FOLDER_IN_USE', { folder, pid: String(process.pid) }])
    await opened.close()
    await (await openDataFolder(folder)).close()
  })

  test('a holder that was killed is followed by the next, and no files pile up', async () => {
    for (let round = 0; round < 3; round += 1) {
      const child = runChild(holdScript(folder))
      expect(await child.firstLine).toBe('won')
      expect((await failureOf(folder)).details.pid).toBe(String(child.process.pid))
      await child.kill()
    }
    await (await openDataFolder(folder)).close()
    expect((await readdir(join(folder, 'lock'))).toSorted()).toEqual(['4', 'held'])
  })

  test('a holder that is a zombie has ended', async () => {
    // The shell never waits for its child, so that it stays a zombie when killed.
    const script = holdScript(folder)
    const shell = spawn(
      'sh',
      ['-c', '"$0" --input-type=module -e "$1" & echo $!; exec sleep 1000', process.execPath, script],
      {
        env: { ...process.env, NODE_OPTIONS: '' },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const lines: string[] = []
    try {
      for await (const chunk of shell.stdout) {
        lines.push(...String(chunk).trim().split('\n'))
        if (lines.length === 2) break
      }
      expect(lines[1]).toBe('won')
      expect((await failureOf(folder)).details.pid).toBe(lines[0])
      process.kill(Number(lines[0]), 'SIGKILL')
      await eventually('the holder to be a zombie', async () => !isRunning(Number(lines[0])))
      await (await openDataFolder(folder)).close()
    } finally {
      shell.kill('SIGKILL')
    }
  })

  test.each([
    ['its pid is used by another process now', { started: '1' }],
    ['the machine was started since', { boot: 'an older boot' }],
    ['it was in another pid namespace, and its kernel lock is free', { namespace: 'pid:[1]', started: '1' }],
    ['it had no kernel lock, but would be seen', { kernel: false, started: '1' }],
    ['it had no kernel lock, but the machine was started since', { kernel: false, boot: 'an older boot' }],
  ])('a holder is dead when %s', async (_, change) => {
    await leaveLock(change)
    await (await openDataFolder(folder)).close()
  })

  test.each([
    ['it has no kernel lock and is of another pid namespace', { kernel: false, namespace: 'pid:[1]' }],
    ['an earlier version has written it', { kernel: undefined, namespace: undefined, host: undefined }],
  ])('a holder that is not seen is not dead when %s; deleting its lock is the way out', async (_, change) => {
    const { pid, host } = await leaveLock({ started: '1', ...change })
    const failure = await failureOf(folder)
    const named = { folder, pid: String(pid), ...(host && { host }) }
    expect([failure.code, failure.details]).toEqual([
      'DATA_FOLDER_IN_USE',
      { ...named, reason: expect.stringContaining('not seen'), ways: expect.stringContaining(join(folder, 'lock')) },
    ])
    await rm(join(folder, 'lock'), { recursive: true })
    await (await openDataFolder(folder)).close()
  })

  test('a lock that was half written when the machine went down holds no process up', async () => {
    await (await openDataFolder(folder)).close()
    await writeFile(join(folder, 'lock', '1'), '{"pid":1')
    await (await openDataFolder(folder)).close()
  })

  const spoils: [string, () => Promise<unknown>][] = [
    ['its files were deleted', () => rm(join(folder, 'lock'), { recursive: true })],
    ['its files were renamed', () => rename(join(folder, 'lock'), join(folder, 'other'))],
    ['its kernel lock was deleted', () => rm(join(folder, 'lock', 'held'))],
    [
      'it was renamed as a whole',
      async () => {
        await rename(folder, join(parent, 'moved'))
        folder = join(parent, 'moved')
      },
    ],
    ['its process id was spoilt', () => writeFile(join(folder, 'lock', '1'), '')],
  ]
  test.each(spoils)('a folder in use is refused also when %s', async (_, spoil) => {
    const opened = await openDataFolder(folder)
    await spoil()
    expect((await failureOf(folder)).code).toBe('DATA_FOLDER_IN_USE')
    await opened.close().catch(() => undefined)
    await (await openDataFolder(folder)).close()
  })

  test('a folder is in use under each of its names', async () => {
    const opened = await openDataFolder(folder)
    const link = join(parent, 'link')
    await symlink(folder, link)
    expect((await failureOf(link)).details).toEqual({ folder: link, pid: String(process.pid) })
    await opened.close()
    const other = await openDataFolder(link)
    expect((await failureOf(folder)).code).toBe('DATA_FOLDER_IN_USE')
    await other.close()
  })

  const enter = enterNamespace()
  const ifNamespaces = enter === undefined ? test.skip : test
  const unless = enter === undefined ? ' (skipped: no pid namespace can be made here)' : ''
  ifNamespaces(`in whatever pid namespaces they run, one of eight at once wins, and is named${unless}`, async () => {
    const children = Array.from({ length: 8 }, (_, index) => runChild(holdScript(folder), index % 2 ? { enter } : {}))
    try {
      const answers = await Promise.all(children.map(({ firstLine }) => firstLine))
      expect(answers.toSorted()).toEqual([...Array.from({ length: 7 }, () => 'DATA_FOLDER_IN_USE'), 'won'])
      const holder = JSON.parse(await readFile(join(folder, 'lock', '1'), 'utf8'))
      expect((await failureOf(folder)).details.pid).toBe(String(holder.pid))
    } finally {
      await Promise.all(children.map((child) => child.kill()))
    }
    await (await openDataFolder(folder)).close()
  })

  ifNamespaces(
    `a holder of another pid namespace is named with its host, and followed when it is killed${unless}`,
    async () => {
      const child = runChild(holdScript(folder), { enter })
      expect(await child.firstLine).toBe('won')
      const { details } = await failureOf(folder)
      expect(details).toEqual({
        ...{ folder, pid: '1', host: hostname() },
        reason: expect.stringContaining('not seen'),
        ways: expect.stringContaining('stop that container'),
      })
      await child.kill()
      await eventually('the folder to be free', async () => {
        const opened = await openDataFolder(folder).catch(() => undefined)
        await opened?.close()
        return opened !== undefined
      })
    },
  )

  test('without the program flock it warns, and process ids keep others off', async () => {
    const children = Array.from({ length: 3 }, () => runChild(holdScript(folder), { env: { PATH: parent } }))
    try {
      const answers = await Promise.all(children.map(({ firstLine }) => firstLine))
      expect(answers.toSorted()).toEqual(['DATA_FOLDER_IN_USE', 'DATA_FOLDER_IN_USE', 'won'])
      expect((await failureOf(folder)).code).toBe('DATA_FOLDER_IN_USE')
      const ended = await Promise.all(children.map((child) => child.kill().then(() => child.ended)))
      for (const { output } of ended) expect(output).toContain('flock cannot be run')
    } finally {
      await Promise.all(children.map((child) => child.kill()))
    }
  })

  test('of 20 processes at once, after one that was killed, exactly one wins', async () => {
    const first = runChild(holdScript(folder))
    await first.firstLine
    await first.kill()
    const children = Array.from({ length: 20 }, () => runChild(holdScript(folder)))
    try {
      const answers = await Promise.all(children.map(({ firstLine }) => firstLine))
      expect(answers.toSorted()).toEqual([...Array.from({ length: 19 }, () => 'DATA_FOLDER_IN_USE'), 'won'])
    } finally {
      await Promise.all(children.map((child) => child.kill()))
    }
  })
})

describe('the version', () => {
  test.each([
    ['{"format":99}', '99'],
    ['{}', 'unreadable neuralmesh.json'],
    ['', 'unreadable neuralmesh.json'],
  ])('%j is refused with both versions, and the folder is free again', async (text, found) => {
    await (await openDataFolder(folder)).close()
    await writeFile(join(folder, 'neuralmesh.json'), text)
    const failure = await failureOf(folder)
    expect([failure.code, failure.details]).toEqual(['DATA_FOLDER_VERSION', { folder, found, needed: '1' }])
    expect((await failureOf(folder)).code).toBe('DATA_FOLDER_VERSION')
  })
})

describe('a folder that cannot be used is refused with the reason', () => {
  test('a file is in the way', async () => {
    await writeFile(join(parent, 'file'), '')
    const failure = await failureOf(join(parent, 'file', 'data'))
    expect([failure.code, failure.details.reason]).toEqual([
      'DATA_FOLDER_UNREACHABLE',
      expect.stringMatching(/ENOTDIR/),
    ])
    expect((await failureOf(join(parent, 'file'))).code).toBe('DATA_FOLDER_UNREACHABLE')
  })

  test('nothing can be made there', async () =>
    expect((await failureOf('/proc/neuralmesh/data')).code).toBe('DATA_FOLDER_UNREACHABLE'))

  const unlessRoot = process.getuid?.() === 0 ? test.skip : test
  const ifRoot = process.getuid?.() === 0 ? test : test.skip
  unlessRoot('it is not writable', async () => {
    await chmod(parent, 0o555)
    expect((await failureOf(folder)).code).toBe('DATA_FOLDER_UNREACHABLE')
    await chmod(parent, 0o755)
  })
  ifRoot('another user may not write there', async () => {
    await (await openDataFolder(folder)).close()
    const child = runChild(holdScript(folder, 65534))
    expect(await child.firstLine).toBe('DATA_FOLDER_UNREACHABLE')
    await child.ended
  })
})

const mountSmall = (place: string) =>
  promisify(execFile)('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'small', place]).then(
    () => true,
    () => false, // only root may
  )

test('a folder on a full disk is released, so that the next start finds it free', async () => {
  const place = join(parent, 'small')
  await mkdir(place)
  const isMounted = await mountSmall(place)
  const opened = await openDataFolder(place)
  if (isMounted) await promisify(execFile)('sh', ['-c', 'cat /dev/zero > "$1"/big', 'sh', place]).catch(() => undefined)
  await opened.close()
  const [lock = ''] = (await readdir(join(place, 'lock'))).filter((name) => /^\d+$/.test(name))
  expect(JSON.parse(await readFile(join(place, 'lock', lock), 'utf8'))).toMatchObject({ released: true })
  await rm(join(place, 'big'), { force: true })
  await (await openDataFolder(place)).close()
  if (isMounted) await promisify(execFile)('umount', ['-l', place])
})
