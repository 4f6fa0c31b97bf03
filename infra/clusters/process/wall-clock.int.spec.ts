import { rm } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { recorder, shellJob } from '../contract.ts'
import { graceMs, makeRoot } from '../process.testing.ts'
import { processCluster } from '../process.ts'

let root: string
beforeEach(async () => {
  root = await makeRoot()
})
afterEach(async () => {
  Date.now = realNow
  await rm(root, { recursive: true })
})
const realNow = Date.now
/** Sets the wall clock of this program, as all of it sees it. */
const setClock = (aheadMs: number) => {
  Date.now = () => realNow() + aheadMs
}

const open = () => processCluster({ root, graceMs, trust: 'own', clock: () => Date.now() })

test.each([7_200_000, -7_200_000])('a clock that is set by %d ms ends no job, also of another run', async (aheadMs) => {
  const [first, second, spec] = [
    open(),
    open(),
    shellJob('sleep 2; echo done', { timeoutSeconds: 60, leaseSeconds: 60 }),
  ]
  const [watcher, later] = [recorder(), recorder()]
  await first.launch(spec, watcher)
  setClock(aheadMs)
  await second.launch(spec, later)
  expect(await watcher.end).toEqual({ ended: 'exited', exitCode: 0 })
  expect(await later.end).toEqual({ ended: 'exited', exitCode: 0 })
  for (const cluster of [first, second]) await cluster.close({ stopJobs: true })
})

test('a clock that is set back lifts no limit', async () => {
  const hold = `const held = []; setInterval(() => held.push(Buffer.alloc(16 << 20, 1)), 20)`
  const cluster = open()
  const [greedy, long, leased] = [
    {
      spec: shellJob('sleep 1; node -e "$HOLD"', { environment: { HOLD: hold }, memoryMib: 300 }),
      watcher: recorder(),
    },
    { spec: shellJob('sleep 60', { timeoutSeconds: 2 }), watcher: recorder() },
    { spec: shellJob('sleep 60', { leaseSeconds: 2 }), watcher: recorder() },
  ]
  const began = performance.now()
  for (const { spec, watcher } of [greedy, long, leased]) await cluster.launch(spec, watcher)
  await pause(500)
  setClock(-7_200_000)
  expect(await greedy.watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_MEMORY_EXCEEDED' })
  expect(await long.watcher.end).toMatchObject({ ended: 'failed', code: 'JOB_TIMED_OUT' })
  expect(await leased.watcher.end).toEqual({ ended: 'expired' })
  expect(performance.now() - began).toBeLessThan(15_000)
  await cluster.close({ stopJobs: true })
})
