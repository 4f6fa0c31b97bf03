// npm run dev on a copy of the project, whose files this spec may change.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { watchedFolders } from '../../cli/dev.ts'
import { root } from '../../docs/docs.testing.ts'
import { sleep } from '../../infra/async/sleep.ts'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { parseSources, readFiles, targetOf } from '../tidy/source-tree.ts'
import { createTestFolder } from '../worlds/platform.ts'

const startMsMax = 60_000
const stopMsMax = 30_000

let folder: Awaited<ReturnType<typeof createTestFolder>>
let copy: string
beforeAll(async () => {
  folder = await createTestFolder()
  copy = join(folder.path, 'project')
  await mkdir(copy)
  for (const name of ['main.ts', 'package.json', 'cli', ...watchedFolders])
    await cp(join(root, name), join(copy, name), { recursive: true })
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
})
afterAll(() => folder.remove())

let stopDev = async (): Promise<unknown> => undefined
afterEach(async () => {
  await stopDev()
})

const startDev = () => {
  const child = spawn(process.execPath, [join(copy, 'cli', 'dev.ts')], {
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      DATABASE_URL: '',
      EVENTSTORE_URL: '',
      DATA_DIR: join(folder.path, 'data'),
      PORT: '0',
      CHAIN_PORT: '0',
      LOG_FORMAT: 'json',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    // Its own group, as a terminal gives it.
    detached: true,
  })
  const closed = once(child, 'close')
  const interrupt = async (): Promise<number | null> => {
    // As Ctrl-C does it: the signal reaches every process of the group.
    if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid as number), 'SIGINT')
    const late = setTimeout(() => child.kill('SIGKILL'), stopMsMax)
    const [code] = await closed
    clearTimeout(late)
    return code
  }
  stopDev = interrupt
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text: Buffer) => {
      output += String(text)
    })
  let seen = 0
  return {
    child,
    /** Resolves to the whole line in which the text comes next. */
    lineWith: async (text: string): Promise<string> => {
      const find = () => {
        const at = output.indexOf(text, seen)
        const end = output.indexOf('\n', at)
        return at < 0 || end < 0 ? undefined : { at, end }
      }
      const found = await eventually(`a line with "${text}"`, find, startMsMax).catch((error) => {
        throw new Error(`${error.message}\n${output}`)
      })
      seen = found.end
      return output.slice(output.lastIndexOf('\n', found.at) + 1, found.end)
    },
    interrupt,
  }
}

const isReady = async (line: string): Promise<boolean> => {
  const url = String(JSON.parse(line).graphql).replace(/graphql$/, 'ready')
  return (await fetch(url)).ok
}

test('starts again after a change, waits for the next one after a broken file, and Ctrl-C leaves no process', async () => {
  const dev = startDev()
  expect(await isReady(await dev.lineWith('NeuralMesh is up'))).toBe(true)

  const main = join(copy, 'main.ts')
  await writeFile(main, (await readFile(main, 'utf8')).replace('NeuralMesh is up', 'NeuralMesh has changed'))
  expect(await dev.lineWith('main.ts has changed')).toBeDefined()
  expect(await isReady(await dev.lineWith('NeuralMesh has changed'))).toBe(true)

  const rental = join(copy, 'domain', 'rental.ts')
  const whole = await readFile(rental, 'utf8')
  await appendFile(rental, 'const broken: = 1\n')
  await dev.lineWith('ERR_INVALID_TYPESCRIPT_SYNTAX')
  expect(await dev.lineWith('It starts again when a source file changes')).toContain('ended with 1')
  expect(dev.child.exitCode).toBeNull()
  await writeFile(rental, whole)
  expect(await isReady(await dev.lineWith('NeuralMesh has changed'))).toBe(true)

  expect(await dev.interrupt()).toBe(0)
  expect(await processesNaming(folder.path)).toEqual([])
}, 240_000)

describe('Ctrl-C', () => {
  test.each([0, 50, 200, 800])(
    '%s ms after a restart has begun ends it, and leaves no process',
    async (ms) => {
      const dev = startDev()
      await dev.lineWith('NeuralMesh ')
      const role = join(copy, 'roles', 'gateway.ts')
      await writeFile(role, `${await readFile(role, 'utf8')}\n`)
      await dev.lineWith('has changed')
      await sleep(ms)
      expect(await dev.interrupt()).toBe(0)
      expect(await processesNaming(folder.path)).toEqual([])
    },
    120_000,
  )

  test('while the platform is still being imported ends it without an error', async () => {
    const dev = startDev()
    await eventually(
      'the platform is being started',
      async () => (await processesNaming(join(copy, 'main.ts'))).length > 0,
    )
    expect(await dev.interrupt()).toBe(0)
    expect(await processesNaming(folder.path)).toEqual([])
  }, 120_000)
})

test('kill -9 of it ends the platform too', async () => {
  const dev = startDev()
  await dev.lineWith('NeuralMesh ')
  dev.child.kill('SIGKILL')
  await eventually('no process is left', async () => (await processesNaming(folder.path)).length === 0, startMsMax)
}, 120_000)

test('watches every folder that the platform imports from', () => {
  const sources = new Map(parseSources(readFiles(root)).map((source) => [source.path, source]))
  const reached = new Set<string>()
  const visit = (path: string) => {
    if (reached.has(path)) return
    reached.add(path)
    for (const { specifier } of sources.get(path)?.imports ?? []) {
      const to = targetOf(path, specifier)
      if (to) visit(to)
    }
  }
  visit('main.ts')
  const folders = new Set([...reached].filter((path) => path.includes('/')).map((path) => path.split('/')[0]))
  expect([...folders].toSorted()).toEqual(watchedFolders)
})
