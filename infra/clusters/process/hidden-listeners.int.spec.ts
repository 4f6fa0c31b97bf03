// A job keeps no platform from its port, however it hides that it has it.
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { freePort } from '../../../testing/free-port.ts'
import { givePort, type HoldTrick, holdPort, keepPort } from '../../../testing/programs/hold-port.ts'
import { keepAddress, tryListening } from '../../system/listening.ts'
import { jobSpec, recorder, shellJob } from '../contract.ts'
import type { JobSpec } from '../port.ts'
import { kill, launchElsewhere, makeRoot, runningOf } from '../process.testing.ts'
import { type IsolationKind, makeWayForStart, processCluster } from '../process.ts'

const silent = { info() {}, warn() {} }
const asRoot = process.getuid?.() === 0
const hasCompiler = await promisify(execFile)('gcc', ['--version']).then(
  () => true,
  () => false,
)
const kinds: readonly IsolationKind[] = asRoot
  ? ['root-namespaces', 'uid', 'none']
  : ['user-namespaces', 'bubblewrap', 'none']
const possible: IsolationKind[] = []
for (const kind of kinds) {
  const root = await makeRoot()
  const cluster = processCluster({ root, trust: 'own', only: kind })
  if ((await cluster.isolation()).kind === kind && hasCompiler) possible.push(kind)
  await cluster.close({ stopJobs: true })
  await rm(root, { recursive: true })
}

let root: string
let port: number
beforeEach(async () => {
  root = await makeRoot()
  port = await freePort()
})
afterEach(() => rm(root, { recursive: true }))

const take = () => tryListening({ host: '127.0.0.1', port, portVariable: 'PORT' })
const isFree = () =>
  take().then(
    () => true,
    () => false,
  )
const makeWay = (by = take) =>
  makeWayForStart({ root, ports: [port], addresses: [{ host: '127.0.0.1', port, take: by }], log: silent })
const base = { timeoutSeconds: 90, graceSeconds: 0 }
const bystander = () => shellJob('sleep 60')
const open = (kind: IsolationKind, ports: readonly number[] = []) =>
  processCluster({ root, trust: 'own', only: kind, graceMs: 300, ports })
const taken = { ended: 'failed', code: 'JOB_PORT_TAKEN' }

/** Whether others may be ended with the one that holds the port, which is not to be found. */
const tricks: readonly (readonly [HoldTrick, boolean])[] = [
  ['bound', false],
  ['thread', false],
  ['flight', false],
  ['multipath', false],
  ['connected', false],
  ['ring', true],
]

const describeWhere = possible.length > 0 ? describe.each(possible) : describe.skip.each(kinds)
describeWhere(`behind %s${possible.length > 0 ? '' : ' (left out: no isolation, or no gcc)'}`, (kind) => {
  const leave = async (spec: JobSpec) => kill(await launchElsewhere(root, spec, 'started', kind))
  const isHeldBy = async (spec: JobSpec) => {
    const cluster = open(kind)
    const output = async () => (await cluster.readLog(spec, 0, 1000)).text
    await eventually('the job says how it goes', async () => /held|:/.test(await output()))
    await cluster.close({ stopJobs: false })
    return (await output()).includes('held')
  }

  test.each(tricks)('a start gets the port of a job that holds it: %s', async (trick, endsOthers) => {
    const spec = jobSpec({ ...base, ...holdPort(port, trick) })
    const other = bystander()
    await leave(spec)
    if (!(await isHeldBy(spec))) return console.log(`left out, Linux has no ${trick} for a job here`)
    expect(await isFree()).toBe(false)
    await leave(other)
    await makeWay()
    expect(await isFree()).toBe(true)
    expect(await runningOf(root, spec)).toEqual([])
    const [cluster, watcher] = [open(kind), recorder()]
    await cluster.launch(spec, watcher)
    expect(await watcher.end).toMatchObject(taken)
    const runs = (await cluster.list()).some(({ jobId, running }) => jobId === other.jobId && running)
    if (!endsOthers) expect(runs).toBe(true)
    await cluster.close({ stopJobs: true })
  })

  test('a start gets it before jobs that wait for it, and keeps it', async () => {
    const eager = [1, 2, 3].map(() => jobSpec({ ...base, ...holdPort(port, 'eager') }))
    await Promise.all(eager.map(leave))
    await eventually('one of them has it', async () => !(await isFree()))
    const address = keepAddress({ host: '127.0.0.1', port, portVariable: 'PORT' })
    await makeWay(address.take)
    const server = createServer((socket) => socket.end('platform')).listen({ port, ...address.handOver() })
    await once(server, 'listening')
    const [client, cluster] = [connect(port, '127.0.0.1'), open(kind)]
    const [answer] = await once(client, 'data')
    expect(String(answer)).toBe('platform')
    server.close()
    await cluster.close({ stopJobs: true })
  })

  test('one that got it from another job, which has ended, is ended beside a running platform too', async () => {
    const name = randomUUID()
    const cluster = open(kind, [port])
    const [keeping, giving] = [recorder(), recorder()]
    const keeper = jobSpec({ ...base, ...keepPort(name) })
    await cluster.launch(keeper, keeping)
    await cluster.launch(jobSpec({ ...base, ...givePort(port, name) }), giving)
    expect(await keeping.end).toMatchObject(taken)
    expect(await isFree()).toBe(true)
    await cluster.close({ stopJobs: true })
  })
})

/** What another program may have at the port, and how it is given up. */
const ofOthers: Readonly<Record<string, () => Promise<() => unknown>>> = {
  'listens at': async () => {
    const other = createServer().listen(port, '127.0.0.1')
    await once(other, 'listening')
    return () => other.close()
  },
  'is connected from': async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const accepted = once(server, 'connection')
    const client = connect((server.address() as { port: number }).port, '127.0.0.1')
    const [peer] = await accepted
    port = client.localPort ?? 0
    return () => {
      client.destroy()
      peer.destroy()
      server.close()
    }
  },
}
const testWhere = possible.length > 0 ? test : test.skip
testWhere.each(Object.keys(ofOthers))('where another program %s the port no job is ended', async (how) => {
  const [kind] = possible
  if (kind === undefined) throw new Error('one is possible')
  const giveUp = await ofOthers[how]?.()
  expect(await isFree()).toBe(false)
  const [cluster, watcher] = [open(kind), recorder()]
  await cluster.launch(bystander(), watcher)
  await makeWay()
  expect(watcher.calls).toEqual(['started'])
  giveUp?.()
  await cluster.close({ stopJobs: true })
})
