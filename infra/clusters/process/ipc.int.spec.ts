// What jobs leave of System V, where they share that with the machine. Only root may have jobs run as other users.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { recorder, shellJob } from '../contract.ts'
import { folderOf, makeRoot } from '../process.testing.ts'
import { processCluster } from '../process.ts'
import { readProcess } from './reading.ts'

const testAsRoot = process.getuid?.() === 0 ? test : test.skip
const make = 'ipcmk -M 4096 -Q -S 2 > /dev/null'
/** Returns which tables have something of a user. */
const ownedBy = (uid: number) =>
  ['shm', 'msg', 'sem'].flatMap((name) => {
    const [header = [], ...rows] = readFileSync(`/proc/sysvipc/${name}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
    return rows.filter((row) => Number(row[header.indexOf('uid')]) === uid).map(() => name)
  })

testAsRoot(
  'nothing of System V outlives a job, nor one that no platform has seen end',
  async () => {
    const root = await makeRoot()
    const cluster = processCluster({ root, only: 'uid', graceMs: 300 })
    const watcher = recorder()
    const spec = shellJob(`${make}; id -u; sleep 60`)
    await cluster.launch(spec, watcher)
    const said = async () => (await cluster.readLog(spec, 0, 100)).text
    await eventually('the job to have made them', async () => /\n/.test(await said()))
    const uid = Number(await said())
    expect(ownedBy(uid)).toEqual(['shm', 'msg', 'sem'])
    // Of its neighbours one runs and the other does not.
    const as = (user: number) => ['setpriv', `--reuid=${user}`, '--clear-groups', 'sh', '-c', make]
    execFileSync('env', as(uid + 1))
    const other = processCluster({ root: `${root}/other`, only: 'uid' })
    await other.isolation()
    expect([ownedBy(uid), ownedBy(uid + 1)]).toEqual([['shm', 'msg', 'sem'], []])

    process.kill((await readProcess(folderOf(root, spec)))?.pid ?? 0, 'SIGKILL')
    expect(await watcher.end).toEqual({ ended: 'lost' })
    expect(ownedBy(uid)).toEqual([])
    for (const one of [cluster, other]) await one.close({ stopJobs: true })
    await rm(root, { recursive: true })
  },
  60_000,
)
