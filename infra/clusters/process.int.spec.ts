import { chmod, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { clusterContract, jobSpec, recorder, shellJob } from './contract.ts'
import type { JobSpec } from './port.ts'
import { folderOf, graceMs, makeRoot, processHarness, runningOf } from './process.testing.ts'
import { clusterNameOf, processCluster } from './process.ts'

clusterContract('process', () => processHarness())

describe('the process engine', () => {
  let base: string
  beforeEach(async () => {
    base = await makeRoot()
  })
  afterEach(() => rm(base, { recursive: true }))

  test('the name of a cluster stays with its folder, and another folder has another', async () => {
    const before = await clusterNameOf(join(base, 'here'))
    expect(await clusterNameOf(join(base, 'else'))).not.toBe(before)
    await rename(join(base, 'here'), join(base, 'there'))
    expect(await clusterNameOf(join(base, 'there'))).toBe(before)
    const cluster = processCluster({ root: join(base, 'there'), name: before })
    expect([cluster.name, await cluster.list()]).toEqual([before, []])
  })

  /** Runs a script to its end, and resolves to its output and what was logged. */
  const run = async (root: string, spec: JobSpec) => {
    const logged: string[] = []
    const note = (_: object, message: string) => logged.push(message)
    const [cluster, watcher] = [
      processCluster({ root, graceMs, trust: 'own', log: { info: note, warn: note } }),
      recorder(),
    ]
    await cluster.launch(spec, watcher)
    const outcome = await watcher.end
    const { text } = await cluster.readLog(spec, 0, 100_000)
    await cluster.close({ stopJobs: true })
    return { outcome, text, logged }
  }

  test('has its own folder as current folder and home, one core, low priority, no core dumps, no input', async () => {
    const script =
      'pwd; echo $HOME; grep -c . /dev/stdin; ulimit -c; nice; grep Cpus_allowed_list /proc/self/status; [ $(cut -d" " -f6 /proc/$$/stat) != ' +
      String(process.pid) +
      ' ] && echo session'
    const spec = shellJob(script, { cpuCores: 1 })
    const { text } = await run(base, spec)
    // Behind walls that have a file tree of their own, it is /job.
    const work = text.startsWith('/job\n') ? '/job' : join(folderOf(base, spec), 'work')
    const lower = String(Math.min(19, getPriority() + 5)) // 19 is the lowest priority of Linux
    const [folder, home, input, cores, niceness, cpus, session] = text.trimEnd().split('\n')
    expect({ folder, home, input, cores, niceness, session }).toEqual({
      ...{ folder: work, home: work, input: '0', cores: '0', niceness: lower, session: 'session' },
    })
    expect(cpus).toMatch(/^Cpus_allowed_list:\s+\d+$/)
  })

  test('writes nothing but its own folder, and its log, also where no other user may pass', async () => {
    await chmod(base, 0o700)
    const script =
      'touch mine && ls; touch ../exit ../../2 /etc/x 2> /dev/null || echo no; echo log >> /dev/stderr; touch /tmp/x && echo tmp'
    const spec = shellJob(script)
    const { text, outcome } = await run(join(base, 'jobs'), spec)
    expect({ text, outcome }).toEqual({ text: 'mine\nno\nlog\ntmp\n', outcome: { ended: 'exited', exitCode: 0 } })
    expect(await readdir(join(folderOf(join(base, 'jobs'), spec), 'tmp'))).toContain('x')
  })

  test('leaves nothing running in the background', async () => {
    const spec = shellJob('sleep 60 & (setsid sleep 60 &) ; echo done')
    const [cluster, watcher] = [processCluster({ root: base, graceMs, trust: 'own' }), recorder()]
    await cluster.launch(spec, watcher)
    expect(await watcher.end).toEqual({ ended: 'exited', exitCode: 0 })
    expect(await runningOf(base, spec)).toEqual([])
    await cluster.close({ stopJobs: true })
  })

  test('the first process loads no library that a job asks for in its environment', async () => {
    const spec = shellJob('true', {
      environment: { LD_PRELOAD: '/no/such/library.so', PATH: '/usr/bin:/bin', ENV: '/x' },
    })
    const { outcome, text } = await run(base, spec)
    expect(outcome).toEqual({ ended: 'exited', exitCode: 0 })
    // Only the command itself complains.
    expect(text.match(/cannot be preloaded/g)).toHaveLength(1)
  })

  test('files that contradict each other are refused, and leave nothing', async () => {
    for (const paths of [['a', 'a'], ['a', 'a/b'], ['a/b', 'a'], ['x'.repeat(300)]]) {
      const cluster = processCluster({ root: base, trust: 'own' })
      const files = paths.map((path) => ({ path, content: '' }))
      await expect(cluster.launch(jobSpec({ files }), recorder())).rejects.toMatchObject({ code: 'JOB_INVALID' })
      expect(await cluster.list()).toEqual([])
      expect(await readdir(join(base, '.staging'))).toEqual([])
      await cluster.close({ stopJobs: true })
    }
  })

  test('a folder that cannot be used is named', async () => {
    await writeFile(join(base, 'file'), '')
    // Below /proc a recursive mkdir would never end.
    for (const root of [join(base, 'file'), join(base, 'file', 'jobs'), '/proc/neuralmesh/jobs']) {
      const cluster = processCluster({ root })
      const expected = { code: 'DATA_FOLDER_UNREACHABLE', details: expect.objectContaining({ folder: root }) }
      await expect(cluster.launch(jobSpec(), recorder())).rejects.toMatchObject(expected)
    }
  })
})
