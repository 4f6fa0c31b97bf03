// What a job holds counts for it, whichever job made it and however it got it; what cannot be measured counts as the largest.
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { rm, statfs } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { giver, keeper } from '../../../testing/programs/hand-over.ts'
import { jobSpec, recorder, shellJob } from '../contract.ts'
import type { JobSpec } from '../port.ts'
import { graceMs, kill, launchElsewhere, makeRoot } from '../process.testing.ts'
import { type IsolationKind, makeWayForStart, processCluster } from '../process.ts'
import { readRoom } from './disk.ts'

const run = promisify(execFile)
const mount = (folder: string) => run('mount', ['-t', 'tmpfs', '-o', 'size=64m,mode=755', 'small', folder])
const silent = { info() {}, warn() {} }
/** The ways with a user for each job that this machine allows; only root has them, and may mount a small disk. */
const kinds: IsolationKind[] = []
let canMount = false
if (process.getuid?.() === 0)
  for (const kind of ['root-namespaces', 'uid'] as const) {
    const root = await makeRoot()
    const cluster = processCluster({ root, only: kind })
    if ((await cluster.isolation()).kind === kind) kinds.push(kind)
    await cluster.close({ stopJobs: true })
    canMount ||= await mount(root).then(
      () => run('umount', [root]).then(() => true),
      () => false,
    )
    await rm(root, { recursive: true })
  }

const withDisk = canMount && kinds.length > 0
const leftOut = ' (left out: only root may have a user for each job, and mount a small disk)'
const describeOnDisk = withDisk ? describe.each(kinds) : describe.skip.each(['uid'] as const)
describeOnDisk(`on a disk of 64 MiB, behind %s${withDisk ? '' : leftOut}`, (kind) => {
  let root = ''
  beforeEach(async () => {
    root = await makeRoot()
    await mount(root)
  })
  afterEach(async () => {
    await run('umount', ['-l', root])
    await rm(root, { recursive: true })
  })
  const open = () => processCluster({ root, graceMs, only: kind })
  const start = async (cluster: ReturnType<typeof open>, spec: JobSpec, text: string) => {
    const watcher = recorder()
    await cluster.launch(spec, watcher)
    await eventually(`it has printed ${text}`, async () => (await cluster.readLog(spec, 0, 1000)).text.includes(text))
    return watcher
  }
  const expectRoom = () =>
    eventually('there is room', async () => {
      const { freeBytes, reserveBytes } = await readRoom(root)
      return freeBytes >= reserveBytes
    })
  const modest = () => shellJob('head -c 2000000 /dev/zero > mine; echo ready; sleep 60')
  const given = { path: 'x', mib: 4, count: 60, isRemoved: true }

  test('files of a job that another one holds without a name count for that one', async () => {
    const [cluster, name] = [open(), randomUUID()]
    const victim = await start(cluster, modest(), 'ready')
    const keeping = await start(cluster, jobSpec({ command: keeper(name) }), 'ready')
    await cluster.launch(jobSpec({ command: giver(name, given) }), recorder())
    expect(await keeping.end).toMatchObject({ ended: 'failed', code: 'JOB_DISK_EXCEEDED' })
    await expectRoom()
    expect(victim.calls).toEqual(['started'])
    await cluster.close({ stopJobs: true })
  })

  test('a start finds them too, before it writes', async () => {
    const name = randomUUID()
    const keeping = jobSpec({ command: keeper(name), timeoutSeconds: 60 })
    await kill(await launchElsewhere(root, keeping, 'started', kind))
    await kill(await launchElsewhere(root, jobSpec({ command: giver(name, given) }), 'started', kind))
    await eventually('the disk is full', async () => (await statfs(root)).bavail === 0)
    await makeWayForStart({ root, ports: [], log: silent })
    await expectRoom()
    const [cluster, watcher] = [open(), recorder()]
    expect(await cluster.launch(keeping, watcher)).toBe('adopted')
    expect(await watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_DISK_EXCEEDED' })
    await cluster.close({ stopJobs: true })
  })

  test('a job whose files cannot be measured is ended before those that can', async () => {
    const cluster = open()
    const victim = await start(cluster, modest(), 'ready')
    const down = 'i=0; while [ $i -lt 205 ]; do mkdir d; cd d; i=$((i + 1)); done'
    const fill = 'i=0; while :; do head -c 1048576 /dev/zero > f$i || sleep 0.01; i=$((i + 1)); done'
    const deep = recorder()
    await cluster.launch(shellJob(`${down}; ${fill}`), deep)
    expect(await deep.end).toMatchObject({ ended: 'failed', code: 'JOB_DISK_EXCEEDED' })
    await expectRoom()
    expect(victim.calls).toEqual(['started'])
    await cluster.close({ stopJobs: true })
  })
})

const kind = 'root-namespaces'
const hasShm = kinds.includes(kind)
const testWithShm = hasShm ? test : test.skip
testWithShm(
  `memory of another job counts for who holds it, also of one that has ended${hasShm ? '' : leftOut}`,
  async () => {
    const root = await makeRoot()
    const [cluster, name] = [processCluster({ root, graceMs, only: kind }), randomUUID()]
    const keeping = recorder()
    const spec = jobSpec({ command: keeper(name), memoryMib: 48 })
    await cluster.launch(spec, keeping)
    await eventually('it is ready', async () => (await cluster.readLog(spec, 0, 1000)).text.includes('ready'))
    for (let turn = 0; turn < 3; turn++) {
      const giving = recorder()
      const options = { path: '/dev/shm/x', mib: 24, count: 1, isRemoved: false }
      await cluster.launch(jobSpec({ command: giver(name, options), memoryMib: 128 }), giving)
      await giving.end
    }
    expect(await keeping.end).toMatchObject({ ended: 'failed', code: 'JOB_MEMORY_EXCEEDED' })
    await cluster.close({ stopJobs: true })
    await rm(root, { recursive: true })
  },
)
