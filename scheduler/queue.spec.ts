import { expect, test } from '@jest/globals'
import { userActor } from '../commands/actor.ts'
import { newId } from '../commands/ids.ts'
import { submitJob } from '../commands/submit-job.ts'
import { isRefusal } from '../domain/errors.ts'
import type { Cluster } from '../infra/clusters/port.ts'
import { eventually } from '../testing/eventually.ts'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { silentLog } from '../testing/worlds/silent-log.ts'
import { createJobRunner } from './jobs.ts'

const program = { command: ['true'], files: [], environment: {}, timeoutSeconds: 60, cpuCores: 1, memoryMib: 512 }

/** Runs so many jobs on one GPU, of which every third is to stop before its turn. Resolves to how often the runner looked
 *  at the log for each of them, and in which order they began. */
const runQueue = async (count: number) => {
  const { rental, ...world } = await createActiveRental({ listedGpus: 1, gpuCount: 1, deposit: 20_000_000n })
  const jobs: string[] = []
  for (let index = 0; index < count; index++) {
    const submitted = await submitJob(world, { renter: 'ada', idempotencyKey: newId(), rental, ...program })
    if (isRefusal(submitted)) throw new Error(submitted.refused)
    jobs.push(submitted.job)
  }
  let looks = 0
  const current = ((...of: Parameters<typeof world.commands.current>) => {
    looks += 1
    return world.commands.current(...of)
  }) as typeof world.commands.current
  const begun: string[] = []
  const cluster: Cluster = {
    name: 'fake',
    launch: async ({ jobId }, watcher) => {
      begun.push(jobId)
      setImmediate(() => watcher.ended({ ended: 'exited', exitCode: 0 }))
      return 'launched'
    },
    stop: async () => undefined,
    list: async () => [],
    readLog: async () => ({ text: '', nextOffset: 0 }),
    close: async () => undefined,
  }
  const commands = { ...world.commands, current }
  const runner = createJobRunner({ ...world, commands, cluster, heartbeats: steadyHeartbeats(), log: silentLog })
  const isStopped = (index: number) => index % 3 === 1
  for (const job of jobs) void runner.reconcile(job)
  for (const [index, job] of jobs.entries())
    if (isStopped(index)) {
      const ids = { commandId: newId(), correlationId: job, causationId: job }
      const command = { type: 'RequestStop', reason: 'enough', requestedAt: world.now() } as const
      const actor = userActor('ada')
      await world.commands.execute('job', job, command, { ...ids, actor, time: world.now() })
    }
  await eventually('all have ended', async () => {
    const states = await Promise.all(jobs.map((job) => world.commands.current('job', job)))
    return states.every(({ state }) => state.status === 'succeeded' || state.status === 'stopped')
  })
  await runner.close()
  return { looksPerJob: looks / count, begun, jobs }
}

test('what is looked at for each job does not grow with the jobs that wait, and they begin in their order', async () => {
  const [few, many] = [await runQueue(12), await runQueue(48)]
  expect(many.looksPerJob).toBeLessThan(few.looksPerJob + 2)
  for (const { begun, jobs } of [few, many]) expect(begun).toEqual(jobs.filter((job) => begun.includes(job)))
})
