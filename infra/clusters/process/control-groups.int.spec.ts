// Control groups as this machine delegates them; where it delegates none, the tests say why they are left out. What is
// measured without groups is tried as root, who alone may start each kind.
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { hopper } from '../../../testing/programs/hopper.ts'
import { jobSpec, recorder } from '../contract.ts'
import type { JobSpec } from '../port.ts'
import { folderOf, graceMs, kill, launchElsewhere, makeRoot, runningOf } from '../process.testing.ts'
import { type IsolationKind, type ProcessCluster, processCluster } from '../process.ts'
import { clusterIdOf } from './cluster-id.ts'
import { findDelegation } from './delegation.ts'

const testMsMax = 60_000
const asRoot = process.getuid?.() === 0
const exceeded = { ended: 'failed', code: 'JOB_MEMORY_EXCEEDED' }
const fine = { ended: 'exited', exitCode: 0 }
const lookRoot = await makeRoot()
const { does, reasons, below } = await findDelegation(lookRoot)
const roots: string[] = [lookRoot]
afterAll(() => {
  for (const root of roots) rmSync(root, { recursive: true, force: true })
})

let root: string
beforeEach(async () => {
  root = await makeRoot()
  roots.push(root)
})
const withCluster = async <Result>(
  options: { readonly only?: IsolationKind; readonly withoutGroups?: boolean },
  use: (cluster: ProcessCluster) => Promise<Result>,
): Promise<Result> => {
  const cluster = processCluster({ root, graceMs, trust: 'own', ...options })
  try {
    return await use(cluster)
  } finally {
    await cluster.close({ stopJobs: true })
  }
}
const runJob = async (cluster: ProcessCluster, change: Partial<JobSpec>) => {
  const [spec, watcher] = [jobSpec({ timeoutSeconds: 60, memoryMib: 256, ...change }), recorder()]
  await cluster.launch(spec, watcher)
  return { spec, end: await watcher.end, text: (await cluster.readLog(spec, 0, 10_000)).text }
}
const groupsOf = (spec: JobSpec): string[] =>
  Object.values(JSON.parse(readFileSync(join(folderOf(root, spec), 'groups.json'), 'utf8')))
const filled = (mib: number) => ['perl', '-e', `my $x = "x"; $x x= ${mib} * 1048576; sleep 30; print "done\n"`]

const describeIf = (needed: readonly (typeof does)[number][]) => {
  const missing = needed.filter((one) => !does.includes(one))
  const why = asRoot ? reasons.join('; ') || 'no reason' : 'only root may start each kind'
  const can = asRoot && missing.length === 0
  return (name: string, body: () => void) =>
    (can ? describe : describe.skip)(can ? name : `${name} (left out: no ${missing.join(', ')}; ${why})`, body)
}

for (const only of ['root-namespaces', 'uid'] as const) {
  describeIf(['memory', 'freeze', 'kill'])(`a job in control groups behind ${only}`, () => {
    const run = (change: Partial<JobSpec>) => withCluster({ only }, (cluster) => runJob(cluster, change))

    test.each([0, 2])(
      'that hands a file in memory from process to process, resting %s ms, is ended',
      async (restMs) => {
        const { spec, end, text } = await run({ command: hopper('memory', 2_000, { restMs }) })
        expect(end).toMatchObject(exceeded)
        expect(text).not.toContain('done')
        expect(await runningOf(root, spec)).toEqual([])
        expect(existsSync(join(folderOf(root, spec), 'groups.json'))).toBe(false)
      },
      testMsMax,
    )

    test(
      'that hands watches of epoll from process to process is ended',
      async () => {
        const { end, text } = await run({ command: hopper('watches', 300, { seconds: 20 }) })
        expect(end).toMatchObject(exceeded)
        expect(text).not.toContain('done')
      },
      testMsMax,
    )

    test(
      'that hops with little is measured and left to run',
      async () => {
        const { end, text } = await run({ command: hopper('memory', 60, { seconds: 4 }) })
        expect(end).toEqual(fine)
        expect(text).toContain('over')
      },
      testMsMax,
    )

    test(
      'that reads and writes far more than its memory on the disk is not ended',
      async () => {
        const script = 'head -c 314572800 /dev/zero > big; cat big big | wc -c'
        expect(await run({ memoryMib: 64, command: ['sh', '-c', script] })).toMatchObject({
          ...{ end: fine, text: '629145600\n' },
        })
      },
      testMsMax,
    )

    test(
      'that takes all at once is ended with the reason, whatever Linux was faster to do',
      async () => {
        expect((await run({ memoryMib: 64, command: filled(1_000) })).end).toMatchObject(exceeded)
      },
      testMsMax,
    )

    test('cannot write to its group or leave it', async () => {
      const script = `sleep 0.3; cat /proc/self/cgroup | grep -c neuralmesh- || exit 1
        for group in "$@"; do
          if echo 0 > "\${group%/*}/cgroup.procs" || echo 1 > "$group/cgroup.freeze" || rmdir "$group"; then exit 2; fi
          if echo -1 > "$group/memory.limit_in_bytes" || echo max > "$group/memory.max"; then exit 3; fi
        done 2> /dev/null; echo kept`
      const id = await clusterIdOf(root)
      const spec = jobSpec({})
      const own = Object.values(below).map((path) => join(String(path), `neuralmesh-${id}.${spec.jobId}.1`))
      const { end, text } = await run({ ...spec, command: ['sh', '-c', script, 'sh', ...own] })
      expect({ end, text }).toMatchObject({ end: fine, text: expect.stringContaining('kept') })
    })
  })
}

describeIf(['memory', 'freeze', 'kill'])('the groups of attempts', () => {
  test.each(['none', 'uid'] as const)(
    'end a job that hops with all its processes, behind %s',
    async (only) => {
      await withCluster({ only }, async (cluster) => {
        const [spec, watcher] = [jobSpec({ command: hopper('memory', 1, { seconds: 40 }) }), recorder()]
        await cluster.launch(spec, watcher)
        await eventually('it hops', async () => (await cluster.readLog(spec, 0, 1_000)).text.includes('hops'))
        const groups = groupsOf(spec)
        expect(groups.map((group) => existsSync(group))).not.toContain(false)
        await cluster.stop(spec)
        expect(await watcher.end).toEqual({ ended: 'stopped' })
        expect(groups.map((group) => existsSync(group))).not.toContain(true)
        expect(await runningOf(root, spec)).toEqual([])
      })
    },
    testMsMax,
  )

  test(
    'know after a restart that Linux has ended a job because of its memory',
    async () => {
      const wait = 'while ! [ -e go ]; do sleep 0.1; done; exec "$@"'
      const spec = jobSpec({ memoryMib: 64, command: ['sh', '-c', wait, 'sh', ...filled(1_000)] })
      await kill(await launchElsewhere(root, spec, 'started', 'uid'))
      writeFileSync(join(folderOf(root, spec), 'work', 'go'), '')
      await eventually('it has ended', () => existsSync(join(folderOf(root, spec), 'exit')))
      await withCluster({ only: 'uid' }, async (cluster) => {
        const watcher = recorder()
        await cluster.launch(spec, watcher)
        expect(await watcher.end).toMatchObject(exceeded)
      })
    },
    testMsMax,
  )

  test(
    'let a job go on that a platform which was killed has stopped',
    async () => {
      const spec = jobSpec({ command: ['sh', '-c', 'while ! [ -e go ]; do sleep 0.1; done; echo went on'] })
      await kill(await launchElsewhere(root, spec, 'started', 'uid'))
      const [frozen] = groupsOf(spec).filter((group) => existsSync(join(group, 'cgroup.freeze')))
      const file = frozen ? join(frozen, 'cgroup.freeze') : join(String(groupsOf(spec).at(-1)), 'freezer.state')
      writeFileSync(file, frozen ? '1' : 'FROZEN')
      writeFileSync(join(folderOf(root, spec), 'work', 'go'), '')
      await withCluster({ only: 'uid' }, async (cluster) => {
        const watcher = recorder()
        expect(await cluster.launch(spec, watcher)).toBe('adopted')
        expect(await watcher.end).toEqual(fine)
      })
    },
    testMsMax,
  )

  test('go at a start with the folders of their attempts', async () => {
    const id = await clusterIdOf(root)
    const paths = Object.values(below).map(String)
    const [left, forsaken, fresh] = [id, '00000000', '11111111'].map((cluster) =>
      paths.map((path) => join(path, `neuralmesh-${cluster}.gone-${process.pid}.1`)),
    ) as [string[], string[], string[]]
    for (const path of [...left, ...forsaken, ...fresh]) mkdirSync(path)
    const before = Date.now() / 1000 - 3_600
    for (const path of forsaken) utimesSync(path, before, before)
    await withCluster({}, async (cluster) => {
      await cluster.list()
      await eventually('they are removed', () => ![...left, ...forsaken].some((path) => existsSync(path)))
    })
    expect(fresh.map((path) => existsSync(path))).not.toContain(false)
    for (const path of fresh) rmdirSync(path)
  })
})

const ordinary = {
  'a loop of short commands':
    'end=$(($(date +%s)+4)); while [ $(date +%s) -lt $end ]; do x=$(ls / | wc -l); /bin/true; (/bin/true); done',
  'many commands at once': 'seq 1 700 | xargs -P 8 -n 1 sh -c "true; /bin/true"',
  'programs in the background': 'for i in 1 2 3 4 5 6 7; do (sleep 1 &); (sleep 9 &); sleep 0.4; done',
  'a build': `printf 'all: %s\\n' "$(seq -s ' ' -f t%g 1 300)" > Makefile
    for i in $(seq 1 300); do printf 't%d:\\n\\t@sh -c "true; /bin/true | cat"\\n' $i; done >> Makefile
    ! command -v make > /dev/null || make -j 8 > /dev/null`,
}
for (const only of ['root-namespaces', 'uid'] as const)
  describeIf([])(`a job without control groups behind ${only}`, () => {
    const run = (change: Partial<JobSpec>) =>
      withCluster({ only, withoutGroups: true }, (cluster) => runJob(cluster, change))

    // By its user alone, one that rests at no time may not be found: docs/security.md.
    test.each(only === 'uid' ? [2, 20] : [0, 2, 20])(
      'whose processes end before they are read, resting %s ms, is ended',
      async (restMs) => {
        const { end, text } = await run({ command: hopper('memory', 50, { restMs, seconds: 20 }) })
        expect(end).toMatchObject({ ...exceeded, message: expect.stringContaining('ends before it is read') })
        expect(text).not.toContain('done')
      },
      testMsMax,
    )

    test.each(Object.entries(ordinary))(
      'that runs %s is left alone',
      async (_name, script) => {
        expect((await run({ command: ['sh', '-c', script] })).end).toEqual(fine)
      },
      testMsMax,
    )
  })
