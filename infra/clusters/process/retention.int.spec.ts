import { chmod, mkdir, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { recorder, shellJob } from '../contract.ts'
import { folderOf, makeRoot } from '../process.testing.ts'
import { processCluster } from '../process.ts'
import { pickRemovals, removeOld, retention } from './retention.ts'

const dayMs = 24 * 3_600_000

test('no log goes before its time, all that are too old do, and the rest fits', () =>
  fc.assert(
    fc.property(
      fc.array(fc.record({ days: fc.nat({ max: 60 }), bytes: fc.nat({ max: 40 }) }), { maxLength: 30 }),
      (records) => {
        const now = 100 * dayMs
        const attempts = records.map(({ days, bytes }, index) => ({
          ...{ handle: { jobId: `j${index}`, attempt: 1 }, endedMs: now - days * dayMs, bytes },
        }))
        const { whole } = pickRemovals(attempts, now, { ...retention, logBytesMax: 100 })
        const kept = attempts.filter((attempt) => !whole.includes(attempt))
        for (const { endedMs } of whole) expect(now - endedMs).toBeGreaterThan(retention.logMsMin)
        for (const { endedMs } of kept) expect(now - endedMs).toBeLessThanOrEqual(retention.logMsMax)
        const old = kept.filter(({ endedMs }) => now - endedMs > retention.logMsMin)
        if (old.length > 0) expect(kept.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(100)
      },
    ),
  ))

test('the files of a job go after an hour, its log after its time, and nothing that its links name', async () => {
  const root = await makeRoot()
  const [outside, cluster, watcher] = [join(root, 'outside'), processCluster({ root, trust: 'own' }), recorder()]
  await mkdir(outside)
  await writeFile(join(outside, 'kept'), '')
  const spec = shellJob(
    `echo said; i=0; while [ $i -lt 300 ]; do mkdir dddddddddddddddd && cd dddddddddddddddd; i=$((i + 1)); done`,
  )
  await cluster.launch(spec, watcher)
  expect(await watcher.end).toEqual({ ended: 'exited', exitCode: 0 })
  const folder = folderOf(root, spec)
  await symlink(outside, join(folder, 'work', 'link'))
  await mkdir(join(folder, 'work', 'closed'))
  await chmod(join(folder, 'work', 'closed'), 0)
  const endedDaysAgo = (days: number) => {
    const then = new Date(Date.now() - days * dayMs)
    return utimes(join(folder, 'output.log'), then, then)
  }

  await removeOld(root, [spec], Date.now())
  expect(await readdir(folder)).toContain('work')
  await endedDaysAgo(2)
  await removeOld(root, [spec], Date.now())
  expect(await readdir(folder)).not.toContain('work')
  expect((await cluster.readLog(spec, 0, 100)).text).toMatch(/^said\n/)
  expect(await cluster.launch(spec, recorder())).toBe('adopted')
  await endedDaysAgo(31)
  await removeOld(root, [spec], Date.now())
  expect(await cluster.list()).toEqual([])
  expect(await readdir(outside)).toEqual(['kept'])
  await cluster.close({ stopJobs: true })
  await rm(root, { recursive: true })
})

test('what of one attempt cannot be removed holds up no other, and nothing is begun once it is stopped', async () => {
  const root = await makeRoot()
  const handles = ['a', 'b'].map((jobId) => ({ jobId, attempt: 1 }))
  const old = new Date(Date.now() - 2 * dayMs)
  for (const handle of handles) {
    await mkdir(join(folderOf(root, handle), 'work'), { recursive: true })
    await writeFile(join(folderOf(root, handle), 'output.log'), '')
    await utimes(join(folderOf(root, handle), 'output.log'), old, old)
  }
  await removeOld(root, handles, Date.now(), AbortSignal.abort())
  for (const handle of handles) expect(await readdir(folderOf(root, handle))).toContain('work')
  // A link to itself cannot even be looked at.
  const impossible = { jobId: 'c', attempt: 1 }
  await mkdir(folderOf(root, impossible), { recursive: true })
  await symlink('tmp', join(folderOf(root, impossible), 'tmp'))
  await writeFile(join(folderOf(root, impossible), 'output.log'), '')
  await utimes(join(folderOf(root, impossible), 'output.log'), new Date(), old)
  await expect(removeOld(root, [impossible, ...handles], Date.now())).rejects.toThrow(/1 attempts cannot/)
  for (const handle of handles) expect(await readdir(folderOf(root, handle))).not.toContain('work')
  await rm(root, { recursive: true })
})
