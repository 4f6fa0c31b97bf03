// A rental that is to end while jobs run: in two facts, by several walkers, whatever dies on the way.
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { userActor } from '../commands/actor.ts'
import { type Commands, createCommands, mustExecute, requestEnvelope } from '../commands/execute.ts'
import { newId } from '../commands/ids.ts'
import { submitJob } from '../commands/submit-job.ts'
import { idOf } from '../domain/aggregates.ts'
import { isRefusal } from '../domain/errors.ts'
import { freeGpus } from '../domain/listing.ts'
import { usdc } from '../domain/money.testing.ts'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { heartbeatsInMemory, steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { breakingAt, oneByOne } from '../testing/worlds/market.ts'
import { shuffled } from './concurrent-runs.testing.ts'
import { completeEnd, endAndSettle, expireRental, jobEnded } from './end-rental.ts'
import { handlersOf, retryHandler } from './subscriber.ts'

const start = Date.parse('2026-01-01T00:00:00.000Z')
const at = (second: number) => new Date(start + second * 1000).toISOString()
const noop = async () => undefined
const program = { command: ['true'], files: [], environment: {}, timeoutSeconds: 60, cpuCores: 1, memoryMib: 512 }

/** Creates a rental of an hour at one millionth of a dollar a second. */
const rent = async (heartbeats = steadyHeartbeats()) => {
  const { rental, ...world } = await createActiveRental()
  const timers = new Map<string, string>()
  const partsOf = (commands: Commands) => {
    const schedule = async (_name: string, _payload: unknown, { key, runAt }: { key: string; runAt: string }) =>
      void timers.set(key, runAt)
    const durable = { commands, heartbeats, schedule, now: world.now }
    return {
      ...durable,
      activated: noop,
      ended: noop,
      jobEnded: (job: string) => jobEnded(durable, job),
      endRequested: (id: string) => completeEnd(durable, id),
    }
  }
  const parts = partsOf(world.commands)
  const send = async (job: string, command: Parameters<typeof world.commands.execute<'job'>>[2]) =>
    mustExecute(await world.commands.execute('job', job, command, requestEnvelope(newId(), 'system:test', world.now())))
  const events = async () => Array.fromAsync(world.store.readAll())
  return {
    ...world,
    rental,
    timers,
    parts,
    partsOf,
    send,
    events,
    submit: async (graceSeconds?: number) => {
      const ids = { renter: 'ada', rental, idempotencyKey: newId() }
      const job = await submitJob(world, {
        ...ids,
        ...program,
        ...(graceSeconds === undefined ? {} : { graceSeconds }),
      })
      if (isRefusal(job)) throw new Error(job.refused)
      return job.job
    },
    run: async (job: string) => {
      await send(job, { type: 'StartJob', attempt: 1, cluster: 'here', startedAt: world.now() })
      return job
    },
    succeed: (job: string) => send(job, { type: 'CompleteJob', attempt: 1, endedAt: world.now() }),
    giveBack: (commands = world.commands) => endAndSettle({ ...parts, commands }, rental, 'returned', userActor('ada')),
    /** Does what follows from each event of the log, as a worker that starts anew. */
    walk: async (commands = world.commands) => {
      const before = await world.store.head()
      for (const { stream, type, revision } of await events())
        for (const process of handlersOf(type))
          await retryHandler(partsOf(commands), { process, id: idOf(stream), revision: String(revision) })
      if ((await world.store.head()) !== before) await walkAgain(commands)
    },
    status: async () => (await world.state('rental', rental)).status,
    free: async () => {
      const listing = await world.state('listing', 'h100')
      return listing.status === 'none' ? 0 : freeGpus(listing)
    },
    types: async () =>
      (await events())
        .filter(({ stream }) => stream === `rental-${rental}` || stream.startsWith('job-'))
        .map(({ type }) => type),
  }
  async function walkAgain(commands: Commands) {
    for (const { stream, type, revision } of await events())
      for (const process of handlersOf(type))
        await retryHandler(partsOf(commands), { process, id: idOf(stream), revision: String(revision) })
  }
}
type World = Awaited<ReturnType<typeof rent>>

/** Expects one end after the last end of a job, one invoice, and all of the money and the GPUs back. */
const expectEnded = async (world: World, charged?: bigint) => {
  const events = await world.events()
  const types = events.map(({ type }) => type)
  for (const type of ['RentalEnded', 'InvoiceIssued', 'CapacityFreed'])
    expect([type, types.filter((each) => each === type).length]).toEqual([type, 1])
  const lastJob = Math.max(...['JobSucceeded', 'JobFailed', 'JobStopped'].map((type) => types.lastIndexOf(type)))
  expect(types.indexOf('RentalEnded')).toBeGreaterThan(lastJob)
  expect(await world.free()).toBe(1)
  const state = await world.state('rental', world.rental)
  expect(state).toMatchObject({ status: 'settled', ...(charged === undefined ? {} : { charged: usdc(charged) }) })
}

describe('a rental whose job runs on a cluster that is lost', () => {
  const declareLost = (declaredAt: string) =>
    ({ type: 'DeclareJobLost', operator: 'olga', attempt: 1, reason: 'burnt down', declaredAt }) as const

  test('ends and is settled when an operator declares the job lost; the silence is not paid for', async () => {
    const world = await rent()
    const job = await world.run(await world.submit(10))
    world.pass(100)
    expect(await world.giveBack()).toMatchObject({ outcome: 'ending' })
    await world.walk()
    world.pass(86_400)
    await world.walk()
    expect([await world.status(), await world.free()]).toEqual(['ending', 0])
    await world.send(job, declareLost(world.now()))
    await world.walk()
    await expectEnded(world, 110_000n)
    expect(await world.types()).not.toContain('JobStopped')
  })

  test('waits for its other jobs', async () => {
    const world = await rent()
    const [lost, running] = [await world.run(await world.submit()), await world.run(await world.submit())]
    await world.giveBack()
    await world.walk()
    await world.send(lost, declareLost(world.now()))
    await world.walk()
    expect(await world.status()).toBe('ending')
    await world.send(running, { type: 'ConfirmStop', attempt: 1, endedAt: world.now() })
    await world.walk()
    await expectEnded(world, 0n)
  })
})

describe('a rental that is given back while a job runs', () => {
  test('is ending: its jobs are stopped, its GPUs stay reserved, and it ends when the last job has ended', async () => {
    const world = await rent()
    const job = await world.run(await world.submit())
    world.pass(100)
    expect(await world.giveBack()).toMatchObject({ outcome: 'ending' })
    await world.walk()
    expect(await world.status()).toBe('ending')
    expect(await world.free()).toBe(0)
    expect(await world.state('job', job)).toMatchObject({ status: 'running', stopRequested: true })
    world.pass(7)
    await world.send(job, { type: 'ConfirmStop', attempt: 1, endedAt: world.now() })
    await world.walk()
    await expectEnded(world, 107_000n)
  })

  test('is charged for its grace at most, though its cluster is silent for ever', async () => {
    const world = await rent()
    const job = await world.run(await world.submit(45))
    world.pass(100)
    await world.giveBack()
    world.pass(1_000_000)
    await world.walk()
    await expireRental(world.parts, world.rental)
    expect([await world.status(), await world.free()]).toEqual(['ending', 0])
    await world.send(job, { type: 'ConfirmStop', attempt: 1, endedAt: world.now() })
    await world.walk()
    await expectEnded(world, 145_000n)
  })

  test('stops a job that waits in the queue, and ends at once', async () => {
    const world = await rent()
    await world.submit()
    world.pass(10)
    expect(await world.giveBack()).toMatchObject({ outcome: 'ending' })
    await world.walk()
    await expectEnded(world, 10_000n)
  })

  test('admits no other job', async () => {
    const world = await rent()
    await world.run(await world.submit())
    await world.giveBack()
    await expect(world.submit()).rejects.toThrow('RENTAL_NOT_ACTIVE')
    expect((await world.types()).filter((type) => type === 'JobSubmitted')).toHaveLength(1)
  })

  test('twice is one request, also after it has ended', async () => {
    const world = await rent()
    const job = await world.run(await world.submit())
    const first = await world.giveBack()
    expect(await world.giveBack()).toEqual(first)
    await world.succeed(job)
    await world.walk()
    const head = await world.store.head()
    expect(await world.giveBack()).toEqual({ ...first, outcome: 'ended' })
    expect(await world.store.head()).toBe(head)
  })
})

describe('a rental without open jobs ends at once, with its invoice', () => {
  test('also when nothing has followed yet from the end of its jobs', async () => {
    const world = await rent()
    for (const _ of [1, 2]) await world.succeed(await world.run(await world.submit()))
    world.pass(60)
    expect(await world.giveBack()).toMatchObject({ outcome: 'ended' })
    await expectEnded(world, 60_000n)
    expect(await world.types()).not.toContain('RentalEndRequested')
  })

  test('and a job that was never submitted, because its request died, is not waited for', async () => {
    const world = await rent()
    const dying = createCommands({ store: breakingAt(world.store, 2, 'before') })
    const request = { renter: 'ada', rental: world.rental, idempotencyKey: 'key', ...program }
    await expect(submitJob({ ...world, commands: dying }, request)).rejects.toThrow('connection lost')
    expect(await world.state('rental', world.rental)).toMatchObject({ openJobs: new Map([[expect.anything(), 30]]) })
    world.pass(60)
    expect(await world.giveBack()).toMatchObject({ outcome: 'ending' })
    await world.walk()
    await expectEnded(world)
    expect(await submitJob(world, request)).toMatchObject({ refused: 'RENTAL_NOT_ACTIVE' })
  })
})

test('at the end of the lease jobs are stopped at once, whatever the heartbeats are, and no second after it is charged', async () => {
  const heartbeats = heartbeatsInMemory()
  const world = await rent(heartbeats)
  for (let second = 0; second <= 3599; second++) await heartbeats.beat(at(second))
  const job = await world.run(await world.submit())
  world.pass(3599)
  await expireRental(world.parts, world.rental)
  expect([await world.status(), world.timers.get(`expire:${world.rental}`)]).toEqual(['active', at(3600)])
  world.pass(1)
  await expireRental(world.parts, world.rental)
  await world.walk()
  expect([await world.status(), (await world.types()).at(-1)]).toEqual(['ending', 'JobStopRequested'])
  world.pass(20)
  await world.send(job, { type: 'ConfirmStop', attempt: 1, endedAt: world.now() })
  await world.walk()
  expect([await world.status(), world.timers.get(`expire:${world.rental}`)]).toEqual(['ending', at(3622)])
  await heartbeats.beat(at(3621))
  await expireRental(world.parts, world.rental)
  await expectEnded(world, 3_600_000n)
})

test('what is charged ends with the last job, the longest grace, the lease and the last heartbeat, whichever is first', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        requestedAt: fc.integer({ min: 0, max: 3700 }),
        jobs: fc.array(
          fc.record({
            grace: fc.option(fc.integer({ min: 0, max: 300 }), { nil: undefined }),
            takes: fc.nat({ max: 600 }),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        lastBeat: fc.integer({ min: 0, max: 4500 }),
      }),
      async ({ requestedAt, jobs, lastBeat }) => {
        const heartbeats = heartbeatsInMemory()
        for (let second = 0; second <= lastBeat; second += 20) await heartbeats.beat(at(Math.min(second, lastBeat)))
        await heartbeats.beat(at(lastBeat))
        const world = await rent(heartbeats)
        const ids = []
        for (const { grace } of jobs) ids.push(await world.run(await world.submit(grace)))
        world.pass(requestedAt)
        await world.giveBack()
        let passed = 0
        for (const [index, { takes }] of [...jobs.entries()].toSorted(([, a], [, b]) => a.takes - b.takes)) {
          world.pass(takes - passed)
          passed = takes
          await world.succeed(ids[index] ?? '')
        }
        world.pass(10_000)
        await world.walk()
        const grace = Math.max(...jobs.map(({ grace = 30 }) => grace))
        const ended = Math.max(...jobs.map(({ takes }) => takes))
        const requested = Math.min(requestedAt, 3600)
        const used = Math.min(requested + grace, Math.max(requestedAt + ended, requested), 3600, lastBeat)
        await expectEnded(world, BigInt(used) * 1000n)
      },
    ),
    { numRuns: 40 },
  )
})

describe('whatever dies', () => {
  /** Returns a rental whose end was requested, and whose jobs are over but for a queued one. */
  const halfWay = async () => {
    const world = await rent()
    const running = await world.run(await world.submit())
    await world.submit()
    world.pass(50)
    return { ...world, running }
  }
  /** Goes all the way with commands that may break; where they do, the world goes on with others. */
  const end = async (world: Awaited<ReturnType<typeof halfWay>>, commandsOf: () => Commands) => {
    const trying = async (work: () => Promise<unknown>) => {
      try {
        await work()
        return true
      } catch {
        return false
      }
    }
    let broken = !(await trying(() => world.giveBack(commandsOf())))
    if (broken) await world.giveBack()
    broken = !(await trying(() => world.walk(commandsOf()))) || broken
    await world.walk()
    await world.send(world.running, { type: 'ConfirmStop', attempt: 1, endedAt: world.now() })
    world.pass(5)
    broken = !(await trying(() => world.walk(commandsOf()))) || broken
    await world.walk()
    return broken
  }

  test.each(['before', 'after'] as const)('%s an append is stored, another process goes on', async (when) => {
    let appends = 1
    for (; ; appends++) {
      const world = await halfWay()
      const dying = createCommands({ store: breakingAt(oneByOne(world.store), appends, when) })
      const broken = await end(world, () => dying)
      await expectEnded(world, 50_000n)
      if (!broken) break
    }
    expect(appends).toBeGreaterThan(8)
  })

  test('and however many walkers meet, each thing happens once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const world = await halfWay()
        const store = shuffled(world.store, scheduler)
        const other = () => createCommands({ store })
        await scheduler.waitFor(
          Promise.all([
            world.giveBack(other()),
            world.giveBack(other()),
            expireRental(world.partsOf(other()), world.rental),
            world.walk(other()),
          ]),
        )
        await scheduler.waitFor(Promise.all([1, 2, 3].map(() => world.walk(other()))))
        await world.send(world.running, { type: 'ConfirmStop', attempt: 1, endedAt: world.now() })
        await scheduler.waitFor(Promise.all([1, 2, 3].map(() => world.walk(other()))))
        await world.walk()
        await expectEnded(world, 50_000n)
        const { history } = await world.commands.load('rental', world.rental)
        expect(history.filter(({ event }) => event.type === 'RentalEndRequested')).toHaveLength(1)
      }),
      { numRuns: 25 },
    )
  })

  test('and a job that is submitted at that moment is refused, or ends before the rental', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.boolean(), async (scheduler, withJob) => {
        const world = await rent()
        if (withJob) await world.succeed(await world.run(await world.submit()))
        const store = shuffled(world.store, scheduler)
        const submitting = submitJob(
          { commands: createCommands({ store }), now: world.now },
          { renter: 'ada', rental: world.rental, idempotencyKey: 'late', ...program },
        )
        const ending = world.giveBack(createCommands({ store }))
        const [submitted] = await scheduler.waitFor(Promise.all([submitting, ending]))
        await world.walk()
        await world.walk()
        if (isRefusal(submitted)) expect(submitted.refused).toBe('RENTAL_NOT_ACTIVE')
        else expect(await world.state('job', submitted.job)).toMatchObject({ status: 'stopped' })
        await expectEnded(world)
      }),
      { numRuns: 40 },
    )
  })
})
