// Watches of epoll while no platform runs: a job that has taken those of its user would keep one from starting. Only root
// may start a platform as an ordinary user.
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { expect, test } from '@jest/globals'
import type { Attack } from '../../../testing/programs/hostile-attacks.ts'
import { manyWatches, watchAttacks } from '../../../testing/programs/hostile-watches.ts'
import { sleep } from '../../async/sleep.ts'
import { jobSpec } from '../contract.ts'
import { folderOf, makeRoot, runningOf } from '../process.testing.ts'
import { readOutcome } from './reading.ts'

const program = join(import.meta.dirname, '../../../testing/programs/cluster.ts')
// Its own: what it takes, Linux counts for a user, and other specs have jobs of an ordinary one.
const ordinaryUid = 44_446
const testAsRoot = process.getuid?.() === 0 ? test : test.skip
const hasBubblewrap = spawnSync('bwrap', ['--version']).status === 0
const missing = (kind: string, why?: string): string => {
  const reason = why ?? (kind === 'bubblewrap' && !hasBubblewrap ? 'no bwrap is here' : undefined)
  return reason === undefined ? '' : ` (left out: ${reason})`
}
const endMsMax = 40_000
const startMsMax = 30_000
const jobs: readonly Attack[] = [
  ...watchAttacks.filter(({ name }) => /all watches of epoll$|hides|outlives|beside/.test(name)),
  {
    name: 'works on for a while with many watches, below a shell and beside others,',
    spec: { command: ['sh', '-c', 'sleep 18 & "$@"; wait', 'sh', ...manyWatches] },
    ends: { ended: 'exited', exitCode: 0 },
  },
]

/** Starts a platform again until it runs: Linux takes a while to give back the watches of a job that has ended, and a
 *  platform of the same user aborts until then. Resolves once its job has started. */
const startPlatform = async <Platform extends ChildProcessByStdio<null, Readable, null>>(
  start: () => Platform,
): Promise<Platform> => {
  for (const until = performance.now() + startMsMax; ; await sleep(500)) {
    const platform = start()
    for await (const line of createInterface({ input: platform.stdout })) if (line === 'started') return platform
    if (performance.now() > until) throw new Error(`no platform started within ${startMsMax} ms`)
  }
}

for (const kind of ['bubblewrap', 'user-namespaces'])
  for (const { name, spec: job, ends = {}, leftOut } of jobs)
    (missing(kind, leftOut) === '' ? testAsRoot : test.skip)(
      `behind ${kind} a job that ${name} ends as it should while no platform runs${missing(kind, leftOut)}`,
      async () => {
        const root = await makeRoot()
        chownSync(root, ordinaryUid, ordinaryUid)
        const wait = 'while ! [ -e go ]; do sleep 0.1; done; exec "$@"'
        const spec = jobSpec({ ...job, command: ['sh', '-c', wait, 'sh', ...(job.command ?? [])] })
        const as = { env: { PATH: process.env.PATH }, cwd: '/', uid: ordinaryUid, gid: ordinaryUid }
        const platform = await startPlatform(() =>
          spawn(process.execPath, [program, root, JSON.stringify(spec), kind], {
            ...as,
            stdio: ['ignore', 'pipe', 'inherit'],
          }),
        )
        platform.kill('SIGKILL')
        await once(platform, 'exit')
        writeFileSync(join(folderOf(root, spec), 'work', 'go'), '')

        for (const until = Date.now() + endMsMax; Date.now() < until; await sleep(200))
          if ((await runningOf(root, spec)).length === 0) break
        expect(await readOutcome(folderOf(root, spec))).toMatchObject(ends)
        expect(await runningOf(root, spec)).toEqual([])
        rmSync(root, { recursive: true })
      },
      startMsMax + endMsMax + 20_000,
    )
