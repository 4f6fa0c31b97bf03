import { type FileHandle, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { isRunning, runChild } from '../../testing/children.ts'
import { eventually } from '../../testing/eventually.ts'
import { processesIn, readProcess } from './processes.ts'
import { startWatched } from './watched-process.ts'

let folder: string
let output: FileHandle
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-watched-'))
  output = await open(join(folder, 'output'), 'a')
})
afterEach(async () => {
  await output.close()
  await rm(folder, { recursive: true })
})

const start = (...command: string[]) =>
  startWatched({ command, cwd: folder, env: { PATH: process.env.PATH ?? '' }, output: output.fd })

describe('while this process lives', () => {
  test('both outputs go to the file, and the exit status is passed on', async () => {
    const child = await start('sh', '-c', 'echo out; echo err >&2; exit 7')
    expect(await child.ended).toBe(7)
    expect(child.running()).toBe(false)
    expect(await readFile(join(folder, 'output'), 'utf8')).toBe('out\nerr\n')
  })

  test('a signal reaches the program itself', async () => {
    const child = await start('sleep', '1000')
    expect(child.running()).toBe(true)
    child.signal('SIGTERM')
    expect(await child.ended).toBe(128 + 15)
    child.signal('SIGTERM')
    expect(isRunning(child.pid)).toBe(false)
  })

  test('a program that is not there ends with 127', async () => {
    const child = await start('/no/such/program')
    expect(await child.ended).toBe(127)
  })
})

describe('whichever of its processes are stopped, all have ended when it says so', () => {
  const names = ['program', 'watchdog', 'reader'] as const
  const subsets = [1, 2, 3, 4, 5, 6, 7].map((bits) => names.filter((_, index) => bits & (1 << index)))
  const all = () => processesIn(folder, ['sleep', 'sh', 'dash', 'busybox'])
  const startAll = async () => {
    const child = await start('sleep', '1000')
    const watchdog = readProcess(child.pid)?.parent ?? 0
    const reader = (await all()).find((pid) => pid !== child.pid && readProcess(pid)?.parent === watchdog) ?? 0
    return { child, pids: { program: child.pid, watchdog, reader } }
  }

  test.each(subsets.map((stopped) => ({ stopped })))('killed while $stopped are stopped', async ({ stopped }) => {
    for (let round = 0; round < 10; round += 1) {
      const { child, pids } = await startAll()
      for (const name of stopped) process.kill(pids[name], 'SIGSTOP')
      child.kill()
      expect(await child.ended).toBe(137)
      expect(await all()).toEqual([])
      expect(child.running()).toBe(false)
    }
  })

  test('a program that ends beside a stopped reader', async () => {
    const { child, pids } = await startAll()
    process.kill(pids.reader, 'SIGSTOP')
    child.signal('SIGTERM')
    expect(await child.ended).toBe(128 + 15)
    expect(await all()).toEqual([])
  })

  test('a watchdog that others kill beside a stopped reader', async () => {
    const { child, pids } = await startAll()
    process.kill(pids.reader, 'SIGSTOP')
    process.kill(pids.watchdog, 'SIGKILL')
    expect(await child.ended).toBe(137)
    expect(await all()).toEqual([child.pid])
    process.kill(child.pid, 'SIGKILL')
  })
})

test('when this process is killed, the program gets SIGINT', async () => {
  const module = JSON.stringify(pathToFileURL(join(import.meta.dirname, 'watched-process.ts')).href)
  const parent = runChild(`
    const { startWatched } = await import(${module})
    const { openSync } = await import('node:fs')
    const program = "process.on('SIGINT', () => { console.log('interrupted'); process.exit() }); console.log('ready'); setInterval(() => {}, 1000)"
    const command = [process.execPath, '-e', program]
    const output = openSync(${JSON.stringify(join(folder, 'output'))}, 'a')
    const child = await startWatched({ command, cwd: '/', env: process.env, output })
    console.log(child.pid)
    setInterval(() => {}, 1000)`)
  const pid = Number(await parent.firstLine)
  const text = () => readFile(join(folder, 'output'), 'utf8')
  await eventually('the program to be ready', async () => (await text()).includes('ready'))
  await parent.kill()
  await eventually('the program to end', async () => !isRunning(pid), 2_000)
  expect(await text()).toBe('ready\ninterrupted\n')
})
