// The door of the scripts of package.json: what it prints on a machine that lacks something, and that it becomes Node.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from '@jest/globals'

const door = join(import.meta.dirname, 'node')
const withSettings = '--env-file-if-exists=.env'
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-node-'))
  await mkdir(join(folder, 'node_modules', '.bin'), { recursive: true })
})
afterEach(() => rm(folder, { recursive: true }))

const call = async (args: readonly string[], path = dirname(process.execPath)) => {
  const child = spawn('/bin/sh', [door, ...args], {
    cwd: folder,
    env: { PATH: `${path}:/usr/bin:/bin` },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const closed = once(child, 'close')
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [code, signal] = await closed
  return { pid: child.pid, code, signal, output: output.trim(), errors }
}

test('without the packages it names the command that installs them', async () => {
  await rm(join(folder, 'node_modules'), { recursive: true })
  const { code, output, errors } = await call(['-p', '1'])
  expect({ code, output, errors }).toEqual({ code: 1, output: '', errors: expect.stringContaining('Run: npm ci\n') })
})

test.each(['v20.19.4', 'v22.18.0', 'v23.11.1', ''])(
  'with the Node "%s" it says which one is needed',
  async (version) => {
    const bin = join(folder, 'node_modules', '.bin')
    await writeFile(join(bin, 'node'), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 })
    const { code, output, errors } = await call(['main.ts'], bin)
    expect({ code, output }).toEqual({ code: 1, output: '' })
    expect(errors).toContain(`Node 24 is needed, and this is ${version || 'no Node'}`)
    expect(errors).not.toMatch(/ERR_|\n +at |: not found/)
  },
)

test('it becomes Node: the same process, exit code and signal', async () => {
  const { pid, ...ended } = await call(['-p', 'process.exitCode = 7; process.pid', '--', 'a b'])
  expect(ended).toEqual({ code: 7, signal: null, output: String(pid), errors: '' })
  expect(await call(['-e', 'process.kill(process.pid, "SIGTERM"); setTimeout(() => 0, 5000)'])).toMatchObject({
    code: null,
    signal: 'SIGTERM',
  })
  expect(await call(['-p', 'JSON.stringify(process.argv.slice(1))', '--', 'a b', '*', ''])).toMatchObject({
    output: '["a b","*",""]',
  })
})

test('it reads .env where there is one, and says nothing where there is none', async () => {
  expect(await call([withSettings, '-p', 'process.env.PORT'])).toMatchObject({ output: 'undefined', errors: '' })
  await writeFile(join(folder, '.env'), 'PORT=8080\n')
  expect(await call([withSettings, '-p', 'process.env.PORT'])).toMatchObject({ output: '8080', errors: '' })
  expect(await call(['-p', 'process.env.PORT'])).toMatchObject({ output: 'undefined' })
})

test('each script of package.json that runs a program goes through it', async () => {
  const { scripts } = JSON.parse(await readFile(join(import.meta.dirname, '..', 'package.json'), 'utf8'))
  const running = Object.values<string>(scripts).filter((command) => command.endsWith('.ts'))
  expect(running.length).toBeGreaterThan(10)
  for (const command of running) expect(command).toMatch(/^exec sh cli\/node (--env-file-if-exists=\.env )?\S+\.ts$/)
})
