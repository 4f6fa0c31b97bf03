import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { freePort } from '../../../testing/free-port.ts'
import { tryListening } from '../../system/listening.ts'
import { jobSpec, recorder } from '../contract.ts'
import { kill, launchElsewhere, makeRoot, runningOf } from '../process.testing.ts'
import { type IsolationKind, makeWayForStart, processCluster } from '../process.ts'
import type { Attempts, ListedAttempt } from './attempts.ts'
import { endListeners } from './listeners.ts'

const silent = { info() {}, warn() {} }
const asRoot = process.getuid?.() === 0
const kinds: readonly IsolationKind[] = asRoot
  ? ['root-namespaces', 'uid', 'none']
  : ['user-namespaces', 'bubblewrap', 'none']

let root: string
let port: number
beforeEach(async () => {
  root = await makeRoot()
  port = await freePort()
})
afterEach(() => rm(root, { recursive: true }))

const isFree = (host: string) =>
  tryListening({ host, port, portVariable: 'PORT' }).then(
    () => true,
    () => false,
  )
/** Returns a job that listens; its process may be a child of one that has ended. */
const listener = (host: string, at: number, isOrphan: boolean) => {
  const code = `require('net').createServer().listen(${at}, '${host}')`
  const command = [process.execPath, '-e', code]
  return jobSpec({
    command: isOrphan ? ['sh', '-c', '(setsid "$@" &) ; sleep 60', 'sh', ...command] : command,
    timeoutSeconds: 60,
  })
}
const cases = [
  ['127.0.0.1', false],
  ['0.0.0.0', true],
  ['::1', true],
] as const

for (const kind of kinds)
  describe(`behind ${kind}`, () => {
    test.each(cases)(
      'a job on %s of a port of the platform makes way for its start (orphan: %s)',
      async (host, orphan) => {
        const cluster = processCluster({ root, trust: 'own', only: kind })
        const isolation = await cluster.isolation()
        await cluster.close({ stopJobs: true })
        if (isolation.kind !== kind) return console.log(`left out, ${kind} is not possible here: ${isolation.reasons}`)
        const spec = listener(host, port, orphan)
        const other = listener(host, 0, orphan)
        for (const job of [spec, other]) await kill(await launchElsewhere(root, job, 'started', kind))
        await eventually('the job listens', async () => !(await isFree(host)))
        await makeWayForStart({ root, ports: [port], log: silent })
        expect(await isFree(host)).toBe(true)
        expect(await runningOf(root, spec)).toEqual([])
        const again = processCluster({ root, trust: 'own', only: kind, graceMs: 300 })
        const [watcher, otherWatcher] = [recorder(), recorder()]
        await again.launch(spec, watcher)
        expect(await watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_PORT_TAKEN' })
        expect(await again.launch(other, otherWatcher)).toBe('adopted')
        expect(otherWatcher.calls).toEqual(['started'])
        await again.close({ stopJobs: true })
      },
    )
  })

test('a job that listens beside the running platform is ended, and one of another program is let be', async () => {
  const cluster = processCluster({ root, trust: 'own', ports: [port], graceMs: 300 })
  const watcher = recorder()
  const platform = createServer().listen(port, '127.0.0.1')
  await once(platform, 'listening')
  await cluster.launch(listener('::1', port, true), watcher)
  expect(await watcher.end).toMatchObject({
    ended: 'failed',
    code: 'JOB_PORT_TAKEN',
    message: `It listened on port ${port}, which is one of the platform.`,
  })
  expect(platform.listening).toBe(true)
  platform.close()
  await cluster.close({ stopJobs: true })
})

test('a socket that was handed to a job which began during the look is looked for again', async () => {
  const program = spawn(process.execPath, ['-e', `require('net').createServer().listen(${port})`])
  await eventually('it listens', async () => !(await isFree('::')))
  const ended: string[] = []
  let lists = 0
  const listed = (folder: string): ListedAttempt => ({
    ...{ jobId: folder, attempt: 1, folder, running: true, hasBegun: true, job: [], startedMs: 1 },
  })
  const attempts = {
    list: async () => {
      lists += 1
      return lists === 1 ? [listed('first')] : [listed('first'), listed('second')]
    },
    members: async (folder: string) => ({
      uid: undefined,
      pids: folder === 'second' && ended.length === 0 ? [program.pid as number] : [],
    }),
    end: async (folder: string) => {
      ended.push(folder)
      program.kill('SIGKILL')
      await once(program, 'exit')
    },
  } as unknown as Attempts
  const options = { attempts, log: silent, ports: [port], onUnwritten: () => undefined }
  const { others } = await endListeners(options)
  await endListeners({ ...options, others })
  expect(ended).toEqual(['second'])
})
