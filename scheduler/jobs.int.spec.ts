import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { Program } from '../domain/job.ts'
import type { Cluster } from '../infra/clusters/port.ts'
import { eventually } from '../testing/eventually.ts'
import { createJobWorld, type JobWorld, shell } from './jobs.testing.ts'
import { createJobRunner } from './jobs.ts'

let world: JobWorld
beforeEach(async () => {
  world = await createJobWorld()
})
afterEach(() => world.close())

describe('a job', () => {
  test('is started, reports its progress, and succeeds', async () => {
    world.run()
    const job = await world.submit(shell(`echo "progress 10 loss 2"; ${world.waitForGo}; echo "progress 60% loss 1"`))
    await world.until(job, 'JobProgressed')
    expect(await world.state('job', job)).toMatchObject({ status: 'running', attempt: 1, percent: 10 })
    await world.go()
    await world.until(job, 'JobSucceeded')
    expect(await world.eventsOf(job)).toMatchObject([
      { type: 'JobSubmitted' },
      { type: 'JobStarted', attempt: 1, cluster: 'process', startedAt: world.now() },
      { type: 'JobProgressed', attempt: 1, percent: 10, message: 'loss 2' },
      { type: 'JobProgressed', attempt: 1, percent: 60, message: 'loss 1' },
      { type: 'JobSucceeded', attempt: 1, endedAt: world.now() },
    ])
    expect(await world.isGone(job)).toBe(true)
  })

  test('has its last progress reported, also when it prints no more after that', async () => {
    world.run()
    const job = await world.submit(shell(`echo progress 1; sleep 0.4; echo progress 50; ${world.waitForGo}`))
    await world.until(job, 'JobProgressed', 2)
    expect(await world.state('job', job)).toMatchObject({ status: 'running', percent: 50 })
    await world.go()
    await world.until(job, 'JobSucceeded')
  })

  test('has its files and its environment', async () => {
    world.run()
    const files = [{ path: 'data/in.txt', content: 'hello' }]
    const job = await world.submit({ ...shell('cat data/in.txt; echo " $NAME"'), files, environment: { NAME: 'ada' } })
    await world.until(job, 'JobSucceeded')
    expect(await world.outputOf(job)).toBe('hello ada\n')
  })

  test.each<[string, Partial<Program>, object]>([
    ['with an exit code that is not 0', shell('exit 3'), { code: 'JOB_EXIT_NONZERO', message: 'exit code 3' }],
    ['with a program that does not exist', { command: ['no-such-program'] }, { code: 'JOB_COMMAND_NOT_FOUND' }],
    ['after its timeout', { ...shell('sleep 60'), timeoutSeconds: 1 }, { code: 'JOB_TIMED_OUT' }],
  ])('fails %s', async (_, program, failed) => {
    world.run()
    const job = await world.submit(program)
    await world.until(job, 'JobFailed')
    expect((await world.eventsOf(job)).slice(1)).toMatchObject([
      { type: 'JobStarted', attempt: 1 },
      { type: 'JobFailed', attempt: 1, ...failed },
    ])
    expect(await world.isGone(job)).toBe(true)
  })

  test('is stopped when its renter asks', async () => {
    world.run()
    const job = await world.submit(shell(`echo progress 1; ${world.waitForGo}`))
    await world.until(job, 'JobProgressed')
    await world.requestStop(job)
    await world.until(job, 'JobStopped')
    expect((await world.eventTypesOf(job)).slice(-2)).toEqual(['JobStopRequested', 'JobStopped'])
    expect(await world.isGone(job)).toBe(true)
  })

  test('ends with its rental', async () => {
    const runner = world.run()
    const running = await world.submit(shell(`echo progress 1; ${world.waitForGo}`))
    await world.until(running, 'JobProgressed')
    await world.endRental()
    expect(await world.state('rental', world.rental)).toMatchObject({ status: 'ending' })
    await runner.reconcile(running)
    await world.until(running, 'JobStopped')
    expect(await world.eventsOf(running)).toContainEqual(
      expect.objectContaining({ type: 'JobStopRequested', reason: 'the rental ends' }),
    )
    expect(await world.isGone(running)).toBe(true)
  })

  test('that its cluster ends with the lease is stopped for that reason, and not tried again', async () => {
    const cluster = world.openCluster()
    world.run({ ...cluster, launch: (spec, watcher) => cluster.launch({ ...spec, leaseSeconds: 0.5 }, watcher) })
    const job = await world.submit(shell('sleep 60'))
    await world.until(job, 'JobStopped')
    expect((await world.eventsOf(job)).slice(1)).toMatchObject([
      { type: 'JobStarted', attempt: 1 },
      { type: 'JobStopRequested', reason: 'the rented time is over' },
      { type: 'JobStopped', attempt: 1 },
    ])
    await eventually('no process is left', () => world.isGone(job))
  })

  test('that is still queued when its rental ends is never started', async () => {
    const queued = await world.submit(shell('true'))
    await world.endRental()
    await world.run().reconcile(queued)
    expect(await world.eventTypesOf(queued)).toEqual(['JobSubmitted', 'JobStopRequested', 'JobStopped'])
    expect(await world.outputOf(queued)).toBe('')
  })

  test('whose process vanishes is started again, and fails after its last attempt', async () => {
    world.run()
    const job = await world.submit(shell('echo progress 1; sleep 60'))
    for (const attempt of [1, 2, 3]) {
      await world.until(job, 'JobProgressed', attempt)
      await world.kill(job, attempt)
      await world.until(job, 'JobInterrupted', attempt)
    }
    await world.until(job, 'JobFailed')
    expect((await world.eventsOf(job)).slice(-2)).toMatchObject([
      { type: 'JobInterrupted', attempt: 3, reason: 'its process vanished' },
      { type: 'JobFailed', attempt: 3, code: 'JOB_INTERRUPTED' },
    ])
  })
})

describe('the job runner', () => {
  test('leaves alone an unknown job, a job that has ended, and a job of another cluster', async () => {
    const elsewhere = world.run({ ...world.openCluster(), name: 'elsewhere', launch: async () => 'launched' })
    const theirs = await world.submit(shell('echo mine'))
    await world.until(theirs, 'JobStarted')
    await elsewhere.close()
    const runner = world.run()
    const done = await world.submit({})
    await world.until(done, 'JobSucceeded')
    const head = await world.store.head()
    for (const job of [theirs, done, 'unknown']) await runner.reconcile(job)
    expect(await world.store.head()).toBe(head)
    expect(await world.outputOf(theirs)).toBe('')
  })

  test('never says that a job is gone whose cluster does not answer, and its rental goes on ending', async () => {
    const elsewhere = world.run({ ...world.openCluster(), name: 'elsewhere', launch: async () => 'launched' })
    const theirs = await world.submit({})
    await world.until(theirs, 'JobStarted')
    await elsewhere.close()
    const runner = world.run()
    await world.endRental()
    await runner.reconcile(theirs)
    expect(runner.troubledJobs()).toBe(1)
    world.pass(100_000)
    await runner.reconcile(theirs)
    expect(await world.eventTypesOf(theirs)).toEqual(['JobSubmitted', 'JobStarted', 'JobStopRequested'])
    expect(await world.state('rental', world.rental)).toMatchObject({ status: 'ending' })
  })

  test('starts no job of a rental whose time is over, though no one has recorded that yet', async () => {
    const job = await world.submit({})
    world.pass(3600)
    await world.run().reconcile(job)
    expect(await world.eventTypesOf(job)).toEqual(['JobSubmitted', 'JobStopRequested', 'JobStopped'])
  })

  test('has the rental wait for a job that was submitted before rentals knew their jobs', async () => {
    const job = await world.submitUnadmitted()
    world.run(world.unwatched())
    await world.run().reconcile(job)
    expect(await world.state('rental', world.rental)).toMatchObject({ openJobs: new Map([[job, 30]]) })
  })

  test('asks only a job that has set a grace to stop before the end, by at most a tenth of the lease', async () => {
    const runner = world.run()
    const wait = shell(`echo progress 1; ${world.waitForGo}`)
    const jobs = [
      await world.submit(wait),
      await world.submit({ ...wait, graceSeconds: 60 }),
      await world.submit({ ...wait, graceSeconds: 300 }),
    ]
    for (const job of jobs) await world.until(job, 'JobProgressed')
    const asked = async () => {
      for (const job of jobs) await runner.reconcile(job)
      const types = await Promise.all(jobs.map(world.eventTypesOf))
      return types.map((each) => each.includes('JobStopRequested'))
    }
    world.pass(3600 - 301)
    expect(await asked()).toEqual([false, false, false])
    world.pass(1)
    expect(await asked()).toEqual([false, false, true])
    world.pass(300 - 60)
    expect(await asked()).toEqual([false, true, true])
    world.pass(60)
    expect(await asked()).toEqual([true, true, true])
  })

  test('that closes and leaves its jobs lets them run on, and the next runner adopts them', async () => {
    const first = world.run()
    const job = await world.submit(shell(`echo progress 1; ${world.waitForGo}`))
    await world.until(job, 'JobProgressed')
    await first.close({ leaveJobs: true })
    expect(await world.isGone(job)).toBe(false)
    await world.run().reconcile(job)
    await world.go()
    await world.until(job, 'JobSucceeded')
    expect(await world.eventTypesOf(job)).toEqual(['JobSubmitted', 'JobStarted', 'JobProgressed', 'JobSucceeded'])
  })

  test('starts another attempt when its cluster could not start a job', async () => {
    const cluster = world.openCluster()
    let launches = 0
    const launch: Cluster['launch'] = async (spec, watcher) => {
      launches++
      if (launches === 1) throw new Error('no room')
      return cluster.launch(spec, watcher)
    }
    world.run({ ...cluster, launch })
    const job = await world.submit({})
    await world.until(job, 'JobSucceeded')
    expect((await world.eventsOf(job)).slice(1)).toMatchObject([
      { type: 'JobStarted', attempt: 1 },
      { type: 'JobInterrupted', attempt: 1, reason: 'The cluster could not start the job.' },
      { type: 'JobStarted', attempt: 2 },
      { type: 'JobSucceeded', attempt: 2 },
    ])
  })

  test('launches an attempt once, however often it reconciles', async () => {
    const cluster = world.openCluster()
    let launches = 0
    const launch: Cluster['launch'] = (spec, watcher) => {
      launches++
      return cluster.launch(spec, watcher)
    }
    const runner = world.run({ ...cluster, launch })
    const job = await world.submit(shell(`echo progress 1; ${world.waitForGo}`))
    await world.until(job, 'JobProgressed')
    await Promise.all([1, 2, 3].map(() => runner.reconcile(job)))
    expect(launches).toBe(1)
    await world.go()
    await world.until(job, 'JobSucceeded')
  })

  test('next to another one on the same store and folder starts an attempt once', async () => {
    world.run()
    world.run()
    const jobs = await Promise.all([1, 2, 3].map(() => world.submit(shell('echo ran; echo progress 100'))))
    for (const job of jobs) {
      await world.until(job, 'JobSucceeded')
      expect(await world.eventTypesOf(job)).toEqual(['JobSubmitted', 'JobStarted', 'JobProgressed', 'JobSucceeded'])
      expect(await world.outputOf(job)).toBe('ran\nprogress 100\n')
    }
  })

  test('that closes interrupts its jobs, records that, and leaves no process; the next runner starts them again', async () => {
    const first = world.run()
    const job = await world.submit(shell(`echo progress 1; ${world.waitForGo}`))
    await world.until(job, 'JobProgressed')
    await first.close()
    expect(await world.isGone(job)).toBe(true)
    expect((await world.eventsOf(job)).at(-1)).toMatchObject({
      type: 'JobInterrupted',
      attempt: 1,
      reason: 'the platform was stopped',
    })
    await world.go()
    world.run()
    await world.until(job, 'JobSucceeded')
    expect((await world.eventsOf(job)).at(-1)).toMatchObject({ attempt: 2 })
  })

  test('that closes while its cluster launches a job stops that job too', async () => {
    const cluster = world.openCluster()
    const [launching, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const launch: Cluster['launch'] = async (spec, watcher) => {
      launching.resolve()
      await gate.promise
      return cluster.launch(spec, watcher)
    }
    const runner = createJobRunner({ ...world, cluster: { ...cluster, launch } })
    const job = await world.submit(shell(world.waitForGo))
    const reconciled = runner.reconcile(job)
    await launching.promise
    const closed = runner.close()
    gate.resolve()
    await Promise.all([reconciled, closed])
    expect(await world.eventTypesOf(job)).toEqual(['JobSubmitted', 'JobStarted', 'JobInterrupted'])
    expect(await world.isGone(job)).toBe(true)
  })

  test('that closes after a stop was requested records the stop', async () => {
    const runner = world.run()
    const job = await world.submit(shell(`trap '' TERM; echo progress 1; ${world.waitForGo}`))
    await world.until(job, 'JobProgressed')
    await world.requestStop(job)
    await runner.close()
    expect((await world.eventTypesOf(job)).at(-1)).toBe('JobStopped')
    expect(await world.isGone(job)).toBe(true)
  })
})
