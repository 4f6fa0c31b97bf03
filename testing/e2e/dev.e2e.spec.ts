// npm run dev on a copy of the project, whose files this spec may change.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { watchedFolders } from '../../cli/dev.ts'
import { root } from '../../docs/docs.testing.ts'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { parseSources, readFiles, targetOf } from '../tidy/source-tree.ts'
import { createTestFolder } from '../worlds/platform.ts'

const startMsMax = 60_000

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
  const interrupt = async () => {
    // As Ctrl-C does it: the signal reaches every process of the group.
    if (child.exitCode === null) process.kill(-(child.pid as number), 'SIGINT')
    return (await closed)[0]
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
