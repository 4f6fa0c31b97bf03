// How the programs that npm starts end: by Ctrl-C, which reaches npm and its child, and by a signal to npm alone. Which
// processes there are depends on the shell: bash becomes the program that it calls last, others wait for it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals'
import { root } from '../../docs/docs.testing.ts'
import { sameSignalMs } from '../../infra/shutdown.ts'
import { sendSignal } from '../../infra/system/processes.ts'
import { runChild } from '../children.ts'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { createTestFolder } from '../worlds/platform.ts'

const startMsMax = 60_000
const passedOnMs = 100

let folder: Awaited<ReturnType<typeof createTestFolder>>
beforeAll(async () => {
  folder = await createTestFolder()
})
afterEach(async () => {
  for (const { pid } of await processesNaming(folder.path)) sendSignal(pid, 'SIGKILL')
})
afterAll(() => folder.remove())

const shells = ['/bin/dash', '/bin/bash'].filter((path) => existsSync(path))

/** Starts a script of package.json as in a terminal: in a group of processes of its own. */
const startScript = (given: readonly string[], shell: string) => {
  const child = spawn('npm', [`--script-shell=${shell}`, ...given], {
    cwd: root,
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      DATABASE_URL: '',
      EVENTSTORE_URL: '',
      DATA_DIR: join(folder.path, 'data'),
      HOST: '127.0.0.1',
      PORT: '0',
      CHAIN_PORT: '0',
      LOG_FORMAT: 'json',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text: Buffer) => {
      output += String(text)
    })
  return {
    /** Resolves once it has printed this text. */
    hasPrinted: (text: string) =>
      eventually(`"${text}"`, () => output.includes(text), startMsMax).catch((error) => {
        throw new Error(`${error.message}\n${output}`)
      }),
    /** Signals the whole group; npm passes it on a moment later, as on a busy machine. */
    pressControlC: () => {
      child.kill('SIGSTOP')
      process.kill(-(child.pid as number), 'SIGINT')
      setTimeout(() => child.kill('SIGCONT'), passedOnMs)
    },
    terminate: () => child.kill('SIGTERM'),
    /** Resolves to how npm has ended, and to what still runs at that moment. */
    ended: async () => {
      const [code, signal] = await exited
      return { code, signal, left: (await processesNaming(folder.path)).map(({ command }) => command), output }
    },
  }
}

test.each(
  shells.flatMap((shell) => [
    [shell, 'Ctrl-C', 'pressControlC'] as const,
    [shell, 'SIGTERM to npm', 'terminate'] as const,
  ]),
)(
  'npm start by %s ends in order by %s: exit code 0, and nothing is left',
  async (shell, _, end) => {
    const script = startScript(['start'], shell)
    await script.hasPrinted('NeuralMesh is up')
    script[end]()
    const { output, ...ended } = await script.ended()
    expect(ended).toEqual({ code: 0, signal: null, left: [] })
    expect(output).toContain('"stopped"')
    expect(output).not.toContain('a second signal')
  },
  120_000,
)

test.each([
  'creating the database',
  '"part":"embedded PostgreSQL"',
  '"part":"event store"',
  '"part":"read models"',
  '"part":"chain"',
])(
  'Ctrl-C at a first start leaves nothing, also at %s',
  async (text) => {
    await rm(join(folder.path, 'data'), { recursive: true, force: true })
    const script = startScript(['start'], shells[0] ?? '/bin/sh')
    await script.hasPrinted(text)
    script.pressControlC()
    expect(await script.ended()).toMatchObject({ code: 0, signal: null, left: [] })
  },
  120_000,
)

test.each(
  shells.flatMap((shell) => [
    [shell, 'while its platform starts', 'The platform'] as const,
    [shell, 'in the middle', 'started for this tour'] as const,
    [shell, 'during its job', 'job runs'] as const,
  ]),
)(
  'Ctrl-C in npm run tour by %s, %s, ends its platform first',
  async (shell, _, text) => {
    // No platform answers at port 0, so it starts one.
    const script = startScript(['run', 'tour'], shell)
    await script.hasPrinted(text)
    await eventually('its platform runs', async () =>
      (await processesNaming(folder.path)).some(({ command }) => command.endsWith('/main.ts')),
    )
    script.pressControlC()
    const { output, ...ended } = await script.ended()
    expect(ended).toEqual({ code: 130, signal: null, left: [] })
    expect(output).not.toContain('INTERNAL')
    expect(/rental \S+ is ended/.test(output)).toBe(text === 'job runs')
  },
  120_000,
)

test('what is sent in time is no second signal, however long the stop keeps the process busy', async () => {
  const child = runChild(`
    import { createShutdown } from ${JSON.stringify(join(root, 'infra/shutdown.ts'))}
    import { createLog } from ${JSON.stringify(join(root, 'infra/telemetry.ts'))}
    const shutdown = createShutdown(createLog({ level: 'info', format: 'json' }))
    shutdown.add('busy', async () => {
      process.kill(process.pid, 'SIGINT')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ${2 * sameSignalMs})
      await new Promise((resolve) => setTimeout(resolve, 100))
    })
    shutdown.onSignals()
    process.kill(process.pid, 'SIGINT')
    setInterval(() => undefined, 1_000)`)
  const { code, output } = await child.ended
  expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining('"stopped"') })
})
