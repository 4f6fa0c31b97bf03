import { describe, expect, test } from '@jest/globals'
import { userActor } from '../commands/actor.ts'
import { mustExecute, requestEnvelope } from '../commands/execute.ts'
import { newId } from '../commands/ids.ts'
import { submitJob } from '../commands/submit-job.ts'
import type { CommandOf } from '../domain/aggregates.ts'
import { errors, Failure, isRefusal } from '../domain/errors.ts'
import type { Program } from '../domain/job.ts'
import type { Cluster, JobHandle, JobSpec, JobWatcher } from '../infra/clusters/port.ts'
import { endRental } from '../processes/end-rental.ts'
import { eventually } from '../testing/eventually.ts'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { heartbeatsInMemory } from '../testing/worlds/heartbeats.ts'
import { silentLog } from '../testing/worlds/silent-log.ts'
import { createJobRunner } from './jobs.ts'

const gpus = { listedGpus: 4, gpuCount: 1 }
/** A quarter of the listing's 32 cores and 65,536 MiB. */
const caps = { cpuCores: 8, memoryMib: 16_384 }
const program = { command: ['true'], files: [], environment: {}, timeoutSeconds: 60, cpuCores: 1, memoryMib: 512 }

/** Creates a rental of one GPU and a runner on a cluster whose launches meet these errors, one after the other; later
 *  ones succeed. The only heartbeats are those of the runner. */
const runnerWith = async (...errors: readonly unknown[]) => {
  const heartbeats = heartbeatsInMemory()
  const { rental, ...world } = await createActiveRental(gpus)
  const launches: { readonly spec: JobSpec; readonly watcher: JobWatcher }[] = []
  const stopped: JobHandle[] = []
  const listed: (JobHandle & { running: boolean })[] = []
  const cluster: Cluster = {
    name: 'here',
    launch: async (spec, watcher) => {
      launches.push({ spec, watcher })
      if (launches.length <= errors.length) throw errors[launches.length - 1]
      return 'launched'
    },
    stop: async (handle) => void stopped.push(handle),
    list: async () => listed,
    readLog: async (_, offset) => ({ text: '', nextOffset: offset }),
    close: async () => undefined,
  }
  const runner = createJobRunner({ ...world, cluster, heartbeats, log: silentLog })
  const submit = async (idempotencyKey: string, changes: Partial<Program> = {}) => {
    const answer = await submitJob(world, { renter: 'ada', idempotencyKey, rental, ...program, ...changes })
    if (isRefusal(answer)) throw new Error(answer.refused)
    return answer.job
  }
  const eventsOf = async (job: string) =>
    (await world.commands.load('job', job)).history.slice(1).map(({ event }) => event)
  /** Resolves to the jobs that were launched, in order, once there are so many launches. */
  const launched = async (count: number) => {
    await eventually(`${count} launches`, () => launches.length >= count)
    await runner.close()
    return launches.map(({ spec }) => spec.jobId)
  }
  return { ...world, rental, heartbeats, runner, stopped, listed, launches, launched, submit, eventsOf }
}

const refusedByCluster = [
  new Failure('JOB_INVALID', { file: 'a/b', takes: 'one file per path' }),
  new Failure('JOB_ISOLATION_MISSING', { reasons: 'no namespaces' }),
]

test.each(refusedByCluster.map((error) => [error.code, error] as const))(
  'a job that its cluster refuses with %s fails with that code, at once, and the next job of its rental starts',
  async (code, error) => {
    const world = await runnerWith(error)
    const [job, next] = [await world.submit('first'), await world.submit('next')]
    await Promise.all([world.runner.reconcile(job), world.runner.reconcile(next)])
    expect(await world.launched(2)).toEqual([job, next])
    expect(await world.eventsOf(job)).toEqual([
      { type: 'JobStarted', attempt: 1, cluster: 'here', startedAt: world.now() },
      { type: 'JobFailed', attempt: 1, code, message: error.message, endedAt: world.now() },
    ])
    expect(await world.state('job', next)).toMatchObject({ status: 'running', attempt: 1 })
  },
)

const unnamed = 'The cluster could not start the job.'
const passing = [
  [unnamed, new Error('no room')],
  [errors.INTERNAL.message, new Failure('INTERNAL', { cluster: 'is closed' })],
  [unnamed, 'text that was thrown'],
] as const

test.each(passing)(
  'a job that its cluster could not start is interrupted, gives its turn to the next one, and is tried again: %s',
  async (reason, error) => {
    const world = await runnerWith(error)
    const [job, next] = [await world.submit('first'), await world.submit('next')]
    await Promise.all([world.runner.reconcile(job), world.runner.reconcile(next)])
    const interrupted = { type: 'JobInterrupted', attempt: 1, reason, interruptedAt: world.now() }
    expect((await world.eventsOf(job)).at(-1)).toEqual(interrupted)
    await eventually('the next one runs', () => world.launches.length === 2)
    await world.runner.reconcile(job)
    expect(await world.state('job', job)).toMatchObject({ status: 'queued', attempt: 1 })
    world.launches.at(-1)?.watcher.ended({ ended: 'exited', exitCode: 0 })
    expect(await world.launched(3)).toEqual([job, next, job])
    expect(await world.state('job', next)).toMatchObject({ status: 'succeeded' })
    expect((await world.eventsOf(job)).at(-1)).toMatchObject({ type: 'JobStarted', attempt: 2 })
  },
)

test.each(['CLUSTER_UNAVAILABLE', 'DATA_FOLDER_UNREACHABLE'] as const)(
  'a job waits, in its turn and without losing an attempt, while its cluster cannot start any: %s',
  async (code) => {
    const faults = Array.from({ length: 5 }, () => new Failure(code, { reason: 'no space left on device' }))
    const world = await runnerWith(...faults)
    const [job, next] = [await world.submit('first'), await world.submit('next')]
    for (const _ of faults) await world.runner.reconcile(job)
    await world.runner.reconcile(next)
    await world.runner.reconcile(job, { relist: true })
    expect(world.launches.length).toBe(faults.length)
    expect(world.runner.troubledJobs()).toBe(1)
    await world.runner.reconcile(job)
    expect(world.launches.map(({ spec }) => `${spec.jobId === job} ${spec.attempt}`)).toEqual(
      Array.from({ length: 6 }, () => 'true 1'),
    )
    world.launches.at(-1)?.watcher.ended({ ended: 'exited', exitCode: 0 })
    expect((await world.launched(7)).at(-1)).toBe(next)
    expect((await world.eventsOf(job)).map(({ type }) => type)).toEqual(['JobStarted', 'JobSucceeded'])
  },
)

test('a job that is to stop does not wait for its cluster', async () => {
  const fault = new Failure('CLUSTER_UNAVAILABLE', { reason: 'no space left on device' })
  const world = await runnerWith(fault, fault, fault)
  const job = await world.submit('job')
  await world.runner.reconcile(job)
  const request = { type: 'RequestStop', reason: 'enough', requestedAt: world.now() } as const
  const envelope = requestEnvelope(newId(), userActor('ada'), world.now())
  mustExecute(await world.commands.execute('job', job, request, envelope))
  await world.runner.reconcile(job)
  expect((await world.eventsOf(job)).at(-1)).toMatchObject({ type: 'JobStopped' })
  await world.runner.close()
})

test('a job that its cluster can never start fails after its last attempt', async () => {
  const world = await runnerWith(...[1, 2, 3].map((attempt) => new Error(`no room for ${attempt}`)))
  const job = await world.submit('job')
  for (const _ of [1, 2, 3, 4]) await world.runner.reconcile(job)
  expect(await world.launched(3)).toEqual([job, job, job])
  expect((await world.eventsOf(job)).at(-1)).toMatchObject({
    ...{ type: 'JobFailed', attempt: 3 },
    ...{ code: 'JOB_INTERRUPTED', message: unnamed },
  })
})

test('a job is launched with its program, its grace, the rest of the rented time, and what its part of the machine has', async () => {
  const world = await runnerWith()
  const small = { cpuCores: 2, memoryMib: 1_024, graceSeconds: 0, environment: { NAME: 'ada' } }
  const job = await world.submit('small', small)
  world.pass(1_000)
  await world.runner.reconcile(job)
  const spec = { jobId: job, attempt: 1, ...program, ...small, leaseSeconds: 2_600 }
  expect(world.launches.map((launch) => launch.spec)).toStrictEqual([spec])
  await world.runner.close()
})

test.each([
  ['more cores than its part has', { cpuCores: 9 }, { cpuCores: caps.cpuCores, memoryMib: 512 }],
  ['more memory than its part has', { memoryMib: 16_385 }, { cpuCores: 1, memoryMib: caps.memoryMib }],
  ['its whole part', caps, caps],
])('a job that asks for %s gets no more than that', async (_, asked, given) => {
  const world = await runnerWith()
  const job = await world.submit('large', asked)
  await world.runner.reconcile(job)
  expect(world.launches.map(({ spec }) => spec)).toStrictEqual([
    { jobId: job, attempt: 1, ...program, ...given, leaseSeconds: 3_600 },
  ])
  await world.runner.close()
})

describe('when the beats of the scheduler itself are late', () => {
  test.each([
    ['succeeded', 1, { ended: 'exited', exitCode: 0 }],
    ['failed', 1, { ended: 'exited', exitCode: 1 }],
    ['failed', 3, { ended: 'lost' }],
  ] as const)(
    'what a job ran is charged as soon as it has %s in the log, attempts: %d',
    async (status, attempts, outcome) => {
      const world = await runnerWith()
      const job = await world.submit('job')
      await world.runner.reconcile(job)
      for (let attempt = 1; attempt <= attempts; attempt++) {
        await eventually('it runs', () => world.launches.length === attempt)
        world.pass(7)
        world.launches.at(-1)?.watcher.ended(outcome)
      }
      await eventually('its end is reported', async () => (await world.state('job', job)).status === status)
      await world.runner.close()
      await endRental(world, world.rental, 'returned', userActor('ada'))
      const runSeconds = 7n * BigInt(attempts)
      expect(await world.state('rental', world.rental)).toMatchObject({ status: 'ended', runSeconds })
    },
  )

  test('a job is not started before one is stored, and its end is reported only after one', async () => {
    const world = await runnerWith()
    let out = true
    const beat = world.heartbeats.beat
    const beats: string[] = []
    world.heartbeats.beat = async (at) => {
      if (out) throw new Failure('DATABASE_UNAVAILABLE')
      beats.push(at)
      await beat(at)
    }
    const job = await world.submit('job')
    await world.runner.reconcile(job)
    expect([await world.state('job', job), world.launches]).toMatchObject([{ status: 'queued' }, []])
    out = false
    await world.runner.reconcile(job)
    expect(beats).toEqual([world.now()])
    out = true
    world.pass(3)
    world.launches.at(-1)?.watcher.ended({ ended: 'exited', exitCode: 0 })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await world.state('job', job)).toMatchObject({ status: 'running' })
    out = false
    await eventually('the end is reported', async () => (await world.state('job', job)).status === 'succeeded')
    expect(beats.at(-1)).toBe(world.now())
    await world.runner.close()
  })
})

describe('a job that was declared lost while its cluster was away', () => {
  const lost = async (...faults: readonly Failure[]) => {
    const world = await runnerWith(...faults)
    const [job, other] = [await world.submit('lost'), await world.submit('other')]
    const send = async (command: CommandOf<'job'>) =>
      mustExecute(
        await world.commands.execute('job', job, command, requestEnvelope(newId(), 'system:test', world.now())),
      )
    const declare = async () => {
      await send({ type: 'RequestStop', reason: 'enough', requestedAt: world.now() })
      const declared = { operator: 'olga', attempt: 1, reason: 'burnt down', declaredAt: world.now() }
      await send({ type: 'DeclareJobLost', ...declared })
    }
    return { ...world, job, other, send, declare }
  }

  test('is stopped by the runner that still watches it, and gives its GPU to the next job', async () => {
    const world = await lost()
    await Promise.all([world.runner.reconcile(world.job), world.runner.reconcile(world.other)])
    await world.runner.stopEnded([])
    expect(world.stopped).toEqual([])
    await world.declare()
    await world.runner.stopEnded([world.job])
    expect(world.stopped).toEqual([])
    await world.runner.stopEnded([])
    expect(world.stopped).toEqual([{ jobId: world.job, attempt: 1 }])
    world.launches[0]?.watcher.ended({ ended: 'stopped' })
    expect(await world.launched(2)).toEqual([world.job, world.other])
    expect((await world.eventsOf(world.job)).at(-1)).toMatchObject({ type: 'JobFailed', code: 'JOB_LOST' })
  })

  test('gives its GPU to the next job also when the cluster never started it', async () => {
    const world = await lost(new Failure('CLUSTER_UNAVAILABLE', { reason: 'no space left on device' }))
    for (const job of [world.job, world.other]) await world.runner.reconcile(job)
    await world.runner.stopEnded([])
    expect(world.launches.map(({ spec }) => spec.jobId)).toEqual([world.job])
    await world.declare()
    await world.runner.stopEnded([])
    expect(world.stopped).toEqual([])
    expect(await world.launched(2)).toEqual([world.job, world.other])
  })

  test('is stopped by the next runner, which looks once at all that its cluster has', async () => {
    const world = await lost()
    await world.send({ type: 'StartJob', attempt: 1, cluster: 'here', startedAt: world.now() })
    await world.declare()
    const [jobId, attempt] = [world.job, 1]
    world.listed.push({ jobId, attempt, running: true }, { jobId: world.other, attempt, running: true })
    world.listed.push({ jobId: 'of another log', attempt, running: true }, { jobId, attempt: 2, running: false })
    await world.runner.stopEnded([])
    await world.runner.stopEnded([])
    expect(world.stopped).toEqual([{ jobId, attempt }])
    await world.runner.close()
  })
})
