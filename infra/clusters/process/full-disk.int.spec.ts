import { execFile } from 'node:child_process'
import { readdir, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../../../domain/errors.ts'
import { eventually } from '../../../testing/eventually.ts'
import { recorder, shellJob } from '../contract.ts'
import { folderOf, graceMs, kill, launchElsewhere, makeRoot, runningOf } from '../process.testing.ts'
import { makeWayForStart, processCluster } from '../process.ts'
import { type Attempts, createAttempts } from './attempts.ts'
import { readRoom, scarceIn } from './disk.ts'
import { makeRoom } from './room.ts'
import { createTableReader } from './table.ts'

const run = promisify(execFile)
const mount = (folder: string, size: string) =>
  run('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=755`, 'small', folder])
const probe = await makeRoot()
const canMount = await mount(probe, '1m').then(
  () => run('umount', [probe]).then(() => true),
  () => false,
)
await rm(probe, { recursive: true })
/** Only root may mount a small disk. */
const onSmallDisk = canMount ? describe : describe.skip
const silent = { info() {}, warn() {} }

let root = ''
const useDisk = (size: string) => {
  beforeEach(async () => {
    root = await makeRoot()
    await mount(root, size)
  })
  afterEach(async () => {
    await run('umount', ['-l', root])
    await rm(root, { recursive: true })
  })
}
const open = () => processCluster({ root, graceMs, trust: 'own' })

/** Fills the disk, and returns the file to remove. */
const fill = async () => {
  await run('sh', ['-c', 'cat /dev/zero > "$1"', 'sh', join(root, 'big')]).catch(() => undefined)
  return join(root, 'big')
}
const logged = (text: string, spec: { jobId: string; attempt: number }, cluster = open()) =>
  eventually(`it has printed ${text}`, async () => (await cluster.readLog(spec, 0, 1000)).text.includes(text))

onSmallDisk('on a disk of 1 MiB that is full (only root may mount one)', () => {
  useDisk('1m')

  test('an exit code is stored, and a job that cannot start waits until there is room', async () => {
    const cluster = open()
    const [first, second] = [recorder(), recorder()]
    const early = shellJob('while [ ! -e "$HOME/go" ]; do sleep 0.02; done; exit 7')
    await cluster.launch(early, first)
    const [folder, room] = [folderOf(root, early), await stat(join(folderOf(root, early), 'exit.draft'))]
    await writeFile(join(folder, 'work', 'go.draft'), '')
    const big = await fill()
    const late = shellJob('exit 3')
    await expect(cluster.launch(late, second)).rejects.toMatchObject({ code: 'CLUSTER_UNAVAILABLE' })
    await run('mv', [join(folder, 'work', 'go.draft'), join(folder, 'work', 'go')])
    expect(await first.end).toEqual({ ended: 'exited', exitCode: 7 })
    await rm(big)
    expect(await cluster.launch(late, second)).toBe('launched')
    expect(await second.end).toEqual({ ended: 'exited', exitCode: 3 })
    expect((await stat(join(folder, 'exit'))).ino).toBe(room.ino)
    await cluster.close({ stopJobs: true })
  })

  const polite = 'trap "exit 0" TERM; echo ready; while :; do sleep 0.05; done'

  test('a job that cannot be ended does not keep the next one from being ended', async () => {
    const specs = [shellJob('sleep 60'), shellJob('sleep 60')]
    for (const spec of specs) await kill(await launchElsewhere(root, spec, 'started'))
    await fill()
    const attempts = createAttempts({ root, table: createTableReader(), log: silent, graceMs })
    const asked: string[] = []
    const end: Attempts['end'] = async (folder, ...more) => {
      asked.push(folder)
      if (asked.length === 1) throw new Failure('CLUSTER_UNAVAILABLE')
      await attempts.end(folder, ...more)
    }
    const onUnwritten = () => undefined
    await makeRoom({ root, attempts: { ...attempts, end }, log: silent, endsAny: true, onUnwritten })
    expect(new Set(asked)).toEqual(new Set(specs.map((spec) => folderOf(root, spec))))
    expect((await attempts.list()).filter(({ running }) => running).map(({ folder }) => folder)).toEqual([asked[0]])
    for (const folder of asked) await attempts.end(folder, { ended: 'stopped' })
  })

  test('the stop of a job is no exit of it, also for the next program', async () => {
    const [cluster, watcher, next] = [open(), recorder(), recorder()]
    const spec = shellJob(polite)
    await cluster.launch(spec, watcher)
    await logged('ready', spec, cluster)
    await fill()
    await cluster.stop(spec)
    expect(await watcher.end).toEqual({ ended: 'stopped' })
    await cluster.close({ stopJobs: false })
    const later = open()
    await later.launch(spec, next)
    expect(await next.end).toEqual({ ended: 'stopped' })
    await later.close({ stopJobs: true })
  })

  test('a job at its timeout has failed, whatever code it exits with and whether a program watches it', async () => {
    const [watched, alone] = [shellJob(polite, { timeoutSeconds: 2 }), shellJob(polite, { timeoutSeconds: 2 })]
    await kill(await launchElsewhere(root, alone, 'started'))
    const [cluster, watcher, next] = [open(), recorder(), recorder()]
    await cluster.launch(watched, watcher)
    await fill()
    expect(await watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_TIMED_OUT' })
    await eventually('the other one has ended', async () => (await runningOf(root, alone)).length === 0)
    await cluster.launch(alone, next)
    expect(await next.end).toMatchObject({ ended: 'failed', code: 'JOB_TIMED_OUT' })
    await cluster.close({ stopJobs: true })
  })

  test('a verdict counts also where the room for it is gone', async () => {
    const [cluster, watcher] = [open(), recorder()]
    const spec = shellJob(polite)
    await cluster.launch(spec, watcher)
    await logged('ready', spec, cluster)
    await rm(join(folderOf(root, spec), 'verdict.room'))
    await fill()
    await cluster.stop(spec)
    expect(await watcher.end).toEqual({ ended: 'stopped' })
    await cluster.close({ stopJobs: true })
  })
})

onSmallDisk('on a disk of 64 MiB (only root may mount one)', () => {
  useDisk('64m')
  /** Writes files of 1 MiB until there is no room, and goes on. */
  const filler = 'i=0; while :; do head -c 1048576 /dev/zero > f$i || sleep 0.01; i=$((i + 1)); done'
  const expectRoom = () =>
    eventually('there is room', async () => {
      const { freeBytes, reserveBytes } = await readRoom(root)
      return freeBytes >= reserveBytes
    })

  test('the job that takes most is ended before the reserve is gone for long, and the others run on', async () => {
    const cluster = open()
    const [small, large] = [recorder(), recorder()]
    const [modest, greedy] = [shellJob('head -c 100000 /dev/zero > mine; echo ready; sleep 60'), shellJob(filler)]
    await cluster.launch(modest, small)
    await logged('ready', modest, cluster)
    await cluster.launch(greedy, large)
    expect(await large.end).toMatchObject({ ended: 'failed', code: 'JOB_DISK_EXCEEDED' })
    await expectRoom()
    await eventually('its files are gone', async () => !(await readdir(folderOf(root, greedy))).includes('work'))
    expect(small.calls).toEqual(['started'])
    await cluster.stop(modest)
    await cluster.close({ stopJobs: true })
  })

  test('no file of a job takes the reserve, and what ended jobs have left goes when there is little room', async () => {
    const [cluster, watcher] = [open(), recorder()]
    const spec = shellJob('head -c 100000000 /dev/zero > big; exit 3')
    await cluster.launch(spec, watcher)
    await watcher.end
    const { freeBytes, reserveBytes } = await readRoom(root)
    expect(freeBytes).toBeGreaterThan(reserveBytes / 2)
    await writeFile(join(root, 'else'), Buffer.alloc(reserveBytes / 2))
    await expectRoom()
    const left = await readdir(folderOf(root, spec))
    expect(left).not.toContain('work')
    expect(left).toContain('output.log')
    await cluster.close({ stopJobs: true })
  })

  test('what fills the disk is ended also where the files of an ended job cannot be removed', async () => {
    const [cluster, over, large] = [open(), recorder(), recorder()]
    const [ended, greedy] = [shellJob('mkdir held'), shellJob(filler)]
    await cluster.launch(ended, over)
    await over.end
    const held = join(folderOf(root, ended), 'work', 'held')
    await mount(held, '1m')
    await cluster.launch(greedy, large)
    expect(await large.end).toMatchObject({ ended: 'failed', code: 'JOB_DISK_EXCEEDED' })
    await expectRoom()
    await run('umount', [held])
    await cluster.close({ stopJobs: true })
  })

  test('a start makes room before anything else: it ends what fills the disk while no program watches', async () => {
    const spec = shellJob(filler)
    await kill(await launchElsewhere(root, spec, 'started'))
    await eventually('the disk is full', async () => (await statfs(root)).bavail === 0)
    await makeWayForStart({ root, ports: [], log: silent })
    await expectRoom()
    expect(await runningOf(root, spec)).toEqual([])
    const [cluster, watcher] = [open(), recorder()]
    expect(await cluster.launch(spec, watcher)).toBe('adopted')
    expect(await watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_DISK_EXCEEDED' })
    await cluster.close({ stopJobs: true })
  })

  test('a disk that others have filled for 10 s ends the jobs too, those that started last first', async () => {
    const cluster = open()
    const little = () => shellJob('head -c 100000 /dev/zero > mine; echo ready; sleep 60')
    const [early, late] = [recorder(), recorder()]
    for (const watcher of [early, late]) {
      const spec = little()
      await cluster.launch(spec, watcher)
      await logged('ready', spec, cluster)
    }
    const begun = performance.now()
    const big = await fill()
    expect(await late.end).toMatchObject({ ended: 'failed', code: 'JOB_DISK_EXCEEDED' })
    expect(await early.end).toMatchObject({ ended: 'failed', code: 'JOB_DISK_EXCEEDED' })
    expect(performance.now() - begun).toBeGreaterThan(9_000)
    await rm(big)
    await cluster.close({ stopJobs: true })
  })
})

onSmallDisk('on a disk of 64 MiB for 20,000 files (only root may mount one)', () => {
  useDisk('64m,nr_inodes=20000')
  const many = (count: number) => `mkdir m; cd m; seq ${count} | xargs touch; echo made; sleep 60`
  const silentRun = shellJob('echo ready; sleep 60')

  test('a job that makes too many is ended, and one that may go on takes no harm', async () => {
    const [cluster, quiet, watcher] = [open(), recorder(), recorder()]
    await cluster.launch(silentRun, quiet)
    await logged('ready', silentRun, cluster)
    await cluster.launch(shellJob(many(6000)), watcher)
    expect(await watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_DISK_EXCEEDED' })
    expect(quiet.calls).toEqual(['started'])
    await cluster.close({ stopJobs: true })
  })

  test('the job with most of them is ended where few are left, and no other one', async () => {
    const [cluster, modest, greedy] = [open(), recorder(), recorder()]
    const first = shellJob('head -c 2000000 /dev/zero > mine; echo ready; sleep 60')
    await cluster.launch(first, modest)
    await logged('ready', first, cluster)
    await cluster.launch(shellJob(many(30_000)), greedy)
    expect(await greedy.end).toMatchObject({ ended: 'failed', code: 'JOB_DISK_EXCEEDED' })
    await eventually('there is room for files', async () => scarceIn(await readRoom(root)) === undefined)
    expect(modest.calls).toEqual(['started'])
    await cluster.close({ stopJobs: true })
  })

  test('a start makes room for files before anything else', async () => {
    const spec = shellJob(many(30_000))
    await kill(await launchElsewhere(root, spec, 'started'))
    await eventually('no file can be made', async () => (await statfs(root)).ffree === 0)
    await makeWayForStart({ root, ports: [], log: silent })
    expect(scarceIn(await readRoom(root))).toBeUndefined()
    expect(await runningOf(root, spec)).toEqual([])
  })
})
