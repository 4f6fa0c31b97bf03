import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Failure } from '../domain/errors.ts'
import type { Cluster } from '../infra/clusters/port.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { eventually } from '../testing/eventually.ts'
import { createJobWorld, type JobWorld, shell } from './jobs.testing.ts'
import { createJobRunner } from './jobs.ts'

let world: JobWorld
beforeEach(async () => {
  world = await createJobWorld()
})
afterEach(() => world.close())

describe('a job runner that is killed', () => {
  test('after it started a job: the next runner adopts the job', async () => {
    world.run(world.unwatched())
    const job = await world.submit(shell(`echo ran; ${world.waitForGo}; echo "progress 100 done"`))
    await eventually('the job runs', async () => (await world.outputOf(job)) === 'ran\n')
    const next = world.run()
    await next.reconcile(job)
    await world.go()
    await world.until(job, 'JobSucceeded')
    expect(await world.eventTypesOf(job)).toEqual(['JobSubmitted', 'JobStarted', 'JobProgressed', 'JobSucceeded'])
    expect(await world.outputOf(job)).toBe('ran\nprogress 100 done\n')
  })

  test('after it recorded JobStarted but before it launched the job: the next runner launches it', async () => {
    const launched = Promise.withResolvers<void>()
    const never: Cluster['launch'] = () => {
      launched.resolve()
      return new Promise(() => undefined)
    }
    const dead = createJobRunner({ ...world, cluster: { ...world.unwatched(), launch: never } })
    const job = await world.submit(shell('echo ran'))
    void dead.reconcile(job)
    await launched.promise
    world.run()
    await world.until(job, 'JobSucceeded')
    expect(await world.eventTypesOf(job)).toEqual(['JobSubmitted', 'JobStarted', 'JobSucceeded'])
    expect(await world.outputOf(job)).toBe('ran\n')
  })

  test('before its job ends: the next runner reports the end', async () => {
    world.run(world.unwatched())
    const job = await world.submit(shell('echo "progress 70 almost"; exit 4'))
    await eventually('the job has ended', async () => (await world.outputOf(job)) !== '' && (await world.isGone(job)))
    await world.run().reconcile(job)
    await world.until(job, 'JobFailed')
    expect((await world.eventsOf(job)).slice(1)).toMatchObject([
      { type: 'JobStarted', attempt: 1 },
      { type: 'JobProgressed', percent: 70, message: 'almost' },
      { type: 'JobFailed', attempt: 1, code: 'JOB_EXIT_NONZERO' },
    ])
  })
})

describe('while the store is unavailable', () => {
  /** Returns a store that can be made unavailable; it counts the calls that it refused. */
  const flaky = (store: EventStore) => {
    const outage = { active: false, refusedCalls: 0 }
    const check = () => {
      if (!outage.active) return
      outage.refusedCalls++
      throw new Failure('DATABASE_UNAVAILABLE')
    }
    const flakyStore: EventStore = {
      ...store,
      append: async (append) => {
        check()
        return store.append(append)
      },
      readStream: (stream, range) => {
        check()
        return store.readStream(stream, range)
      },
    }
    return { store: flakyStore, outage }
  }

  test('reports are retried, and none is lost', async () => {
    const { store, outage } = flaky(world.store)
    world.run(world.openCluster(), store)
    const job = await world.submit(shell(`echo "progress 10 a"; ${world.waitForGo}; echo "progress 90 b"`))
    await world.until(job, 'JobProgressed')
    outage.active = true
    await world.go()
    await eventually('a report was refused', () => outage.refusedCalls > 0 && world.isGone(job))
    outage.active = false
    await world.until(job, 'JobSucceeded')
    expect((await world.eventsOf(job)).slice(2)).toMatchObject([
      { type: 'JobProgressed', percent: 10 },
      { type: 'JobProgressed', percent: 90 },
      { type: 'JobSucceeded' },
    ])
  })

  test('the end of a job that was stopped is retried too', async () => {
    const { store, outage } = flaky(world.store)
    const cluster = world.openCluster()
    world.run(cluster, store)
    const job = await world.submit(shell(`echo progress 1; ${world.waitForGo}`))
    await world.until(job, 'JobProgressed')
    outage.active = true
    await cluster.stop({ jobId: job, attempt: 1 })
    await eventually('a report was refused', () => outage.refusedCalls > 0)
    await world.go()
    outage.active = false
    await world.until(job, 'JobSucceeded')
    expect(await world.eventTypesOf(job)).toContain('JobInterrupted')
  })
})

test('a stop that another process always beats is tried once for each look, and a relist pauses in between', async () => {
  const appends = { refused: 0 }
  const store: EventStore = {
    ...world.store,
    append: async (append) => {
      if (append.events[0]?.type !== 'JobStopRequested') return world.store.append(append)
      appends.refused++
      return { outcome: 'conflict', stream: append.stream, actual: undefined }
    },
  }
  const runner = world.run(world.openCluster(), store)
  const job = await world.submit(shell(`echo progress 1; ${world.waitForGo}`))
  await world.until(job, 'JobProgressed')
  await world.endRental()
  await runner.reconcile(job)
  const perLook = appends.refused
  expect(perLook).toBeGreaterThan(0)
  for (let look = 0; look < 50; look++) await runner.reconcile(job, { relist: true })
  expect(appends.refused).toBe(perLook)
  await runner.reconcile(job)
  expect(appends.refused).toBe(2 * perLook)
})
