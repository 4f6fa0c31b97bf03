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

describe('a runner that is killed', () => {
  test('after it started a job: the next one adopts it', async () => {
    world.run(world.unheard())
    const job = await world.submit(shell(`echo ran; ${world.waiting}; echo "progress 100 done"`))
    await eventually('the job runs', async () => (await world.outputOf(job)) === 'ran\n')
    const next = world.run()
    await next.reconcile(job)
    await world.go()
    await world.until(job, 'JobSucceeded')
    expect(await world.types(job)).toEqual(['JobSubmitted', 'JobStarted', 'JobProgressed', 'JobSucceeded'])
    expect(await world.outputOf(job)).toBe('ran\nprogress 100 done\n')
  })

  test('before it started the job that it said it would: the next one does', async () => {
    const launched = Promise.withResolvers<void>()
    const never: Cluster['launch'] = () => {
      launched.resolve()
      return new Promise(() => undefined)
    }
    const dead = createJobRunner({ ...world, cluster: { ...world.unheard(), launch: never } })
    const job = await world.submit(shell('echo ran'))
    void dead.reconcile(job)
    await launched.promise
    world.run()
    await world.until(job, 'JobSucceeded')
    expect(await world.types(job)).toEqual(['JobSubmitted', 'JobStarted', 'JobSucceeded'])
    expect(await world.outputOf(job)).toBe('ran\n')
  })

  test('and the job ends while nobody looks: the next one reports how', async () => {
    world.run(world.unheard())
    const job = await world.submit(shell('echo "progress 70 almost"; exit 4'))
    await eventually('the job has ended', async () => (await world.outputOf(job)) !== '' && world.gone(job))
    await world.run().reconcile(job)
    await world.until(job, 'JobFailed')
    expect((await world.story(job)).slice(1)).toMatchObject([
      { type: 'JobStarted', attempt: 1 },
      { type: 'JobProgressed', percent: 70, message: 'almost' },
      { type: 'JobFailed', attempt: 1, code: 'JOB_EXIT_NONZERO' },
    ])
  })
})

describe('while the store is away', () => {
  /** A store that can be taken away and brought back; counts what it refused. */
  const flaky = (store: EventStore) => {
    const weather = { away: false, refused: 0 }
    const check = () => {
      if (!weather.away) return
      weather.refused++
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
    return { store: flakyStore, weather }
  }

  test('reports wait, and none is lost', async () => {
    const { store, weather } = flaky(world.store)
    world.run(world.openCluster(), store)
    const job = await world.submit(shell(`echo "progress 10 a"; ${world.waiting}; echo "progress 90 b"`))
    await world.until(job, 'JobProgressed')
    weather.away = true
    await world.go()
    await eventually('a report was refused', () => weather.refused > 0 && world.gone(job))
    weather.away = false
    await world.until(job, 'JobSucceeded')
    expect((await world.story(job)).slice(2)).toMatchObject([
      { type: 'JobProgressed', percent: 10 },
      { type: 'JobProgressed', percent: 90 },
      { type: 'JobSucceeded' },
    ])
  })

  test('also the end of a job that was stopped waits', async () => {
    const { store, weather } = flaky(world.store)
    const cluster = world.openCluster()
    world.run(cluster, store)
    const job = await world.submit(shell(`echo progress 1; ${world.waiting}`))
    await world.until(job, 'JobProgressed')
    weather.away = true
    await cluster.stop({ jobId: job, attempt: 1 })
    await eventually('a report was refused', () => weather.refused > 0)
    await world.go()
    weather.away = false
    await world.until(job, 'JobSucceeded')
    expect(await world.types(job)).toContain('JobInterrupted')
  })
})
