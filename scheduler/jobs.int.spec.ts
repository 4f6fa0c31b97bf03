import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { systemActor, userActor } from '../commands/actor.ts'
import { createCommands } from '../commands/execute.ts'
import { newId } from '../commands/ids.ts'
import { submitJob } from '../commands/submit-job.ts'
import { idOf } from '../domain/aggregates.ts'
import { Failure, isRefusal } from '../domain/errors.ts'
import type { Program } from '../domain/job.ts'
import type { Cluster } from '../infra/clusters/port.ts'
import { processCluster } from '../infra/clusters/process.ts'
import { graceMs, makeRoot, runningOf } from '../infra/clusters/process-harness.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { createLog } from '../infra/telemetry.ts'
import { endRental } from '../processes/meter.ts'
import { requestRental } from '../processes/request-rental.ts'
import { eventually } from '../testing/children.ts'
import { createMarket, usdc } from '../testing/market.ts'
import { createJobRunner } from './jobs.ts'

const log = createLog({ level: 'silent', format: 'json' })
const noop = async () => undefined

let root: string
let cleanUp: (() => Promise<void>)[]
beforeEach(async () => {
  root = await makeRoot()
  cleanUp = []
})
afterEach(async () => {
  for (const clean of cleanUp.reverse()) await clean()
  const cluster = openCluster()
  await cluster.close({ stopJobs: true })
  await rm(root, { recursive: true })
})

const openCluster = () => processCluster({ root, graceMs })

/** Jobs wait for this file to go on. */
const go = () => writeFile(join(root, 'go'), '')
const waiting = () => `while [ ! -e ${root}/go ]; do sleep 0.02; done`
const shell = (script: string): Partial<Program> => ({ command: ['sh', '-c', script] })

/** A market in memory, with a rental of ada's. */
const market = async () => {
  const world = createMarket()
  await world.list('h100', 1)
  await world.deposit('ada', 10_000_000n)
  const wish = { renter: 'ada', idempotencyKey: 'r', listing: 'h100', gpuCount: 1, seconds: 3600n }
  const rented = await requestRental(world, { ...wish, maxPricePerGpuHour: usdc(4_000_000n) })
  if (isRefusal(rented)) throw new Error(rented.refused)
  const { rental } = rented

  const submit = async (program: Partial<Program>): Promise<string> => {
    const usual = { command: ['true'], files: [], environment: {}, timeoutSeconds: 60, cpuCores: 1, memoryMib: 512 }
    const ids = { renter: 'ada', idempotencyKey: newId(), rental }
    const submitted = await submitJob(world, { ...ids, ...usual, ...program })
    if (isRefusal(submitted)) throw new Error(submitted.refused)
    return submitted.job
  }
  const story = async (job: string) => (await world.commands.load('job', job)).history.map(({ event }) => event)
  const types = async (job: string) => (await story(job)).map(({ type }) => type)
  const until = (job: string, type: string, count = 1) =>
    eventually(`${count} ${type} of ${job}`, async () => {
      const found = (await types(job)).filter((one) => one === type).length
      return found >= count
    })
  const requestStop = (job: string) => {
    const ids = { commandId: newId(), correlationId: job, causationId: job }
    const command = { type: 'RequestStop', reason: 'enough', requestedAt: world.now() } as const
    return world.commands.execute('job', job, command, { ...ids, actor: userActor('ada'), time: world.now() })
  }
  const end = () => {
    const heartbeats = { acknowledged: async () => 1n, begin: noop, beat: noop, end: noop }
    return endRental({ ...world, heartbeats }, rental, 'expired', systemActor('timer'))
  }

  /** A runner that acts on what the log says of jobs, as the scheduler lets it. */
  const run = (cluster: Cluster = openCluster(), store: EventStore = world.store) => {
    const runner = createJobRunner({ commands: createCommands({ store }), cluster, now: world.now, log })
    const stopping = new AbortController()
    const filter = { types: ['JobSubmitted', 'JobInterrupted', 'JobStopRequested'], signal: stopping.signal }
    const following = (async () => {
      for await (const { events } of world.store.subscribe(filter))
        for (const { stream } of events) await runner.reconcile(idOf(stream)).catch(noop)
    })()
    let closed: Promise<void> | undefined
    const close = async () => {
      stopping.abort()
      await following
      await runner.close()
    }
    const closeOnce = () => {
      closed ??= close()
      return closed
    }
    cleanUp.push(closeOnce)
    return { ...runner, close: closeOnce }
  }
  return { ...world, submit, story, types, until, requestStop, end, run }
}

const outputOf = async (job: string, attempt = 1) => {
  const cluster = openCluster()
  const { text } = await cluster.readLog({ jobId: job, attempt }, 0, 10_000)
  await cluster.close({ stopJobs: false })
  return text
}
const gone = (job: string, attempt = 1) => runningOf(root, { jobId: job, attempt }).length === 0

describe('a job', () => {
  test('is started, tells its progress, and succeeds', async () => {
    const world = await market()
    world.run()
    const job = await world.submit(shell(`echo "progress 10 loss 2"; ${waiting()}; echo "progress 60% loss 1"`))
    await world.until(job, 'JobProgressed')
    expect(await world.state('job', job)).toMatchObject({ status: 'running', attempt: 1, percent: 10 })
    await go()
    await world.until(job, 'JobSucceeded')
    expect(await world.story(job)).toMatchObject([
      { type: 'JobSubmitted' },
      { type: 'JobStarted', attempt: 1, cluster: 'process', startedAt: world.now() },
      { type: 'JobProgressed', attempt: 1, percent: 10, message: 'loss 2' },
      { type: 'JobProgressed', attempt: 1, percent: 60, message: 'loss 1' },
      { type: 'JobSucceeded', attempt: 1, endedAt: world.now() },
    ])
    expect(gone(job)).toBe(true)
  })

  test('finds its files and its environment', async () => {
    const world = await market()
    world.run()
    const files = [{ path: 'data/in.txt', content: 'hello' }]
    const job = await world.submit({ ...shell('cat data/in.txt; echo " $NAME"'), files, environment: { NAME: 'ada' } })
    await world.until(job, 'JobSucceeded')
    expect(await outputOf(job)).toBe('hello ada\n')
  })

  test.each<[string, Partial<Program>, object]>([
    ['with another exit code', shell('exit 3'), { code: 'JOB_EXIT_NONZERO', message: 'exit code 3' }],
    ['with a program that is not there', { command: ['no-such-program'] }, { code: 'JOB_COMMAND_NOT_FOUND' }],
    ['after its time', { ...shell('sleep 60'), timeoutSeconds: 1 }, { code: 'JOB_TIMED_OUT' }],
    ['at once, when no cluster could run it', { environment: { 'A-B': 'c' } }, { code: 'JOB_INVALID' }],
  ])('fails %s', async (_, program, failed) => {
    const world = await market()
    world.run()
    const job = await world.submit(program)
    await world.until(job, 'JobFailed')
    expect((await world.story(job)).slice(1)).toMatchObject([
      { type: 'JobStarted', attempt: 1 },
      { type: 'JobFailed', attempt: 1, ...failed },
    ])
    expect(gone(job)).toBe(true)
  })

  test('is stopped when its renter asks', async () => {
    const world = await market()
    world.run()
    const job = await world.submit(shell(`echo progress 1; ${waiting()}`))
    await world.until(job, 'JobProgressed')
    await world.requestStop(job)
    await world.until(job, 'JobStopped')
    expect((await world.types(job)).slice(-2)).toEqual(['JobStopRequested', 'JobStopped'])
    expect(gone(job)).toBe(true)
  })

  test('ends with its rental', async () => {
    const world = await market()
    const runner = world.run()
    const running = await world.submit(shell(`echo progress 1; ${waiting()}`))
    await world.until(running, 'JobProgressed')
    await world.end()
    await runner.reconcile(running)
    await world.until(running, 'JobStopped')
    expect(await world.story(running)).toContainEqual(
      expect.objectContaining({ type: 'JobStopRequested', reason: 'the rental has ended' }),
    )
    expect(gone(running)).toBe(true)
  })

  test('that is still in the queue when its rental ends is never started', async () => {
    const world = await market()
    const queued = await world.submit(shell('true'))
    await world.end()
    await world.run().reconcile(queued)
    expect(await world.types(queued)).toEqual(['JobSubmitted', 'JobStopRequested', 'JobStopped'])
    expect(await outputOf(queued)).toBe('')
  })

  test('that vanishes is tried again, and fails when its attempts are used up', async () => {
    const world = await market()
    world.run()
    const job = await world.submit(shell('echo progress 1; sleep 60'))
    for (const attempt of [1, 2, 3]) {
      await world.until(job, 'JobProgressed', attempt)
      for (const pid of runningOf(root, { jobId: job, attempt })) process.kill(pid, 'SIGKILL')
      await world.until(job, 'JobInterrupted', attempt)
    }
    await world.until(job, 'JobFailed')
    expect((await world.story(job)).slice(-2)).toMatchObject([
      { type: 'JobInterrupted', attempt: 3, reason: 'its process vanished' },
      { type: 'JobFailed', attempt: 3, code: 'JOB_INTERRUPTED' },
    ])
  })
})

describe('the runner', () => {
  test('leaves alone what is not there, what is over, and what another cluster runs', async () => {
    const world = await market()
    const elsewhere = world.run({ ...openCluster(), name: 'elsewhere', launch: async () => 'launched' })
    const theirs = await world.submit(shell('echo mine'))
    await world.until(theirs, 'JobStarted')
    await elsewhere.close()
    const runner = world.run()
    const done = await world.submit({})
    await world.until(done, 'JobSucceeded')
    const head = await world.store.head()
    for (const job of [theirs, done, 'nobody']) await runner.reconcile(job)
    expect(await world.store.head()).toBe(head)
    expect(await outputOf(theirs)).toBe('')
  })

  test('tries again when its cluster cannot start a job', async () => {
    const world = await market()
    const cluster = openCluster()
    let launches = 0
    const launch: Cluster['launch'] = async (spec, watcher) => {
      launches++
      if (launches === 1) throw new Error('no room')
      return cluster.launch(spec, watcher)
    }
    world.run({ ...cluster, launch })
    const job = await world.submit({})
    await world.until(job, 'JobSucceeded')
    expect((await world.story(job)).slice(1)).toMatchObject([
      { type: 'JobStarted', attempt: 1 },
      { type: 'JobInterrupted', attempt: 1, reason: 'no room' },
      { type: 'JobStarted', attempt: 2 },
      { type: 'JobSucceeded', attempt: 2 },
    ])
  })

  test('launches an attempt once, however often it looks', async () => {
    const world = await market()
    const cluster = openCluster()
    let launches = 0
    const launch: Cluster['launch'] = (spec, watcher) => {
      launches++
      return cluster.launch(spec, watcher)
    }
    const runner = world.run({ ...cluster, launch })
    const job = await world.submit(shell(`echo progress 1; ${waiting()}`))
    await world.until(job, 'JobProgressed')
    await Promise.all([1, 2, 3].map(() => runner.reconcile(job)))
    expect(launches).toBe(1)
    await go()
    await world.until(job, 'JobSucceeded')
  })

  test('twice on one store and one folder starts an attempt once', async () => {
    const world = await market()
    world.run()
    world.run()
    const jobs = await Promise.all([1, 2, 3].map(() => world.submit(shell('echo ran; echo progress 100'))))
    for (const job of jobs) {
      await world.until(job, 'JobSucceeded')
      expect(await world.types(job)).toEqual(['JobSubmitted', 'JobStarted', 'JobProgressed', 'JobSucceeded'])
      expect(await outputOf(job)).toBe('ran\nprogress 100\n')
    }
  })

  test('that closes interrupts its jobs, records it, and leaves no process; the next starts them anew', async () => {
    const world = await market()
    const first = world.run()
    const job = await world.submit(shell(`echo progress 1; ${waiting()}`))
    await world.until(job, 'JobProgressed')
    await first.close()
    expect(gone(job)).toBe(true)
    expect((await world.story(job)).at(-1)).toMatchObject({
      type: 'JobInterrupted',
      attempt: 1,
      reason: 'the platform was stopped',
    })
    await go()
    world.run()
    await world.until(job, 'JobSucceeded')
    expect((await world.story(job)).at(-1)).toMatchObject({ attempt: 2 })
  })

  test('that closes while a job is on its way to the cluster ends that as well', async () => {
    const world = await market()
    const cluster = openCluster()
    const [asked, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const launch: Cluster['launch'] = async (spec, watcher) => {
      asked.resolve()
      await gate.promise
      return cluster.launch(spec, watcher)
    }
    const runner = createJobRunner({ ...world, cluster: { ...cluster, launch }, log })
    const job = await world.submit(shell(waiting()))
    const reconciled = runner.reconcile(job)
    await asked.promise
    const closed = runner.close()
    gate.resolve()
    await Promise.all([reconciled, closed])
    expect(await world.types(job)).toEqual(['JobSubmitted', 'JobStarted', 'JobInterrupted'])
    expect(gone(job)).toBe(true)
  })

  test('that closes while a stop was asked for records the stop', async () => {
    const world = await market()
    const runner = world.run()
    const job = await world.submit(shell(`trap '' TERM; echo progress 1; ${waiting()}`))
    await world.until(job, 'JobProgressed')
    await world.requestStop(job)
    await runner.close()
    expect((await world.types(job)).at(-1)).toBe('JobStopped')
    expect(gone(job)).toBe(true)
  })
})

/** A cluster as a program has it that is killed: nobody hears any more what it says. */
const unheard = (): Cluster => {
  const cluster = openCluster()
  cleanUp.push(() => cluster.close({ stopJobs: false }))
  const deaf = { started: () => undefined, progressed: () => undefined, ended: () => undefined }
  return { ...cluster, launch: (spec) => cluster.launch(spec, deaf), stop: noop, close: noop }
}

describe('a runner that is killed', () => {
  test('after it started a job: the next one adopts it', async () => {
    const world = await market()
    world.run(unheard())
    const job = await world.submit(shell(`echo ran; ${waiting()}; echo "progress 100 done"`))
    await eventually('the job runs', async () => (await outputOf(job)) === 'ran\n')
    const next = world.run()
    await next.reconcile(job)
    await go()
    await world.until(job, 'JobSucceeded')
    expect(await world.types(job)).toEqual(['JobSubmitted', 'JobStarted', 'JobProgressed', 'JobSucceeded'])
    expect(await outputOf(job)).toBe('ran\nprogress 100 done\n')
  })

  test('before it started the job that it said it would: the next one does', async () => {
    const world = await market()
    const launched = Promise.withResolvers<void>()
    const never: Cluster['launch'] = () => {
      launched.resolve()
      return new Promise(() => undefined)
    }
    const dead = createJobRunner({ ...world, cluster: { ...unheard(), launch: never }, log })
    const job = await world.submit(shell('echo ran'))
    void dead.reconcile(job)
    await launched.promise
    world.run()
    await world.until(job, 'JobSucceeded')
    expect(await world.types(job)).toEqual(['JobSubmitted', 'JobStarted', 'JobSucceeded'])
    expect(await outputOf(job)).toBe('ran\n')
  })

  test('and the job ends while nobody looks: the next one reports how', async () => {
    const world = await market()
    world.run(unheard())
    const job = await world.submit(shell('echo "progress 70 almost"; exit 4'))
    await eventually('the job has ended', async () => (await outputOf(job)) !== '' && gone(job))
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
    const world = await market()
    const { store, weather } = flaky(world.store)
    world.run(openCluster(), store)
    const job = await world.submit(shell(`echo "progress 10 a"; ${waiting()}; echo "progress 90 b"`))
    await world.until(job, 'JobProgressed')
    weather.away = true
    await go()
    await eventually('a report was refused', () => weather.refused > 0 && gone(job))
    weather.away = false
    await world.until(job, 'JobSucceeded')
    expect((await world.story(job)).slice(2)).toMatchObject([
      { type: 'JobProgressed', percent: 10 },
      { type: 'JobProgressed', percent: 90 },
      { type: 'JobSucceeded' },
    ])
  })

  test('also the end of a job that was stopped waits', async () => {
    const world = await market()
    const { store, weather } = flaky(world.store)
    const cluster = openCluster()
    world.run(cluster, store)
    const job = await world.submit(shell(`echo progress 1; ${waiting()}`))
    await world.until(job, 'JobProgressed')
    weather.away = true
    await cluster.stop({ jobId: job, attempt: 1 })
    await eventually('a report was refused', () => weather.refused > 0)
    await go()
    weather.away = false
    await world.until(job, 'JobSucceeded')
    expect(await world.types(job)).toContain('JobInterrupted')
  })
})
