import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { systemActor, userActor } from '../commands/actor.ts'
import { createCommands } from '../commands/execute.ts'
import { isRefusal } from '../domain/errors.ts'
import { usdc } from '../domain/money.testing.ts'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { heartbeatsInMemory, steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { endRental, expireRental } from './end-rental.ts'
import { meterPeriod, startMeter, stopMeter } from './meter.ts'
import type { Schedule } from './timers.ts'

const start = '2026-01-01T00:00:00.000Z'

/** Creates a rental of an hour that runs from the start. The provider has acknowledged all but the `silentSeconds`. */
const runningRental = async ({ price = 3_600_000n, chargePeriodSeconds = 300 } = {}) => {
  const { rental, ...world } = await createActiveRental({ pricePerGpuHour: price, deposit: 10n * price })
  let silentSeconds = 0
  const timers = new Map<string, unknown>()
  const schedule: Schedule = async (name, payload, { key, runAt }) => {
    timers.set(key, { name, payload, runAt })
  }
  const dependencies = {
    ...world,
    heartbeats: steadyHeartbeats(() => silentSeconds),
    schedule,
    chargePeriodSeconds,
  }
  const events = async () => (await world.commands.load('rental', rental)).history.slice(2)
  return {
    ...world,
    ...dependencies,
    rental,
    timers,
    events,
    /** Resolves to what was metered so far, in order. */
    metered: async () => (await events()).flatMap(({ event }) => (event.type === 'UsageMetered' ? [event] : [])),
    goSilent: (seconds: number) => {
      silentSeconds += seconds
      world.pass(seconds)
    },
    period: (period: number) => meterPeriod(dependencies, { rental, period }),
    end: (reason: 'returned' | 'expired' = 'returned', actor = userActor('ada')) =>
      endRental(dependencies, rental, reason, actor),
  }
}

test('a rental that has ended leaves no timer', async () => {
  const world = await runningRental()
  await startMeter(world, world.rental, start, '2026-01-01T01:00:00.000Z')
  const cancel = async (key: string) => {
    world.timers.delete(key)
  }
  await stopMeter({ cancel }, world.rental)
  expect(world.timers).toEqual(new Map())
})

test('a rental that begins sets the timers of its first period and of its end', async () => {
  const world = await runningRental()
  await startMeter(world, world.rental, start, '2026-01-01T01:00:00.000Z')
  await startMeter(world, world.rental, start, '2026-01-01T01:00:00.000Z')
  const { rental } = world
  expect(world.timers).toEqual(
    new Map([
      [`meter:${rental}`, { name: 'meter', payload: { rental, period: 1 }, runAt: '2026-01-01T00:05:00.000Z' }],
      [`expire:${rental}`, { name: 'expire', payload: { rental }, runAt: '2026-01-01T01:00:00.000Z' }],
    ]),
  )
})

describe('a charge period that is over', () => {
  test('is metered, and sets the timer of the next', async () => {
    const world = await runningRental()
    world.pass(300)
    await world.period(1)
    const runs = [{ runSeconds: 300n, fee: usdc(300_000n), total: usdc(300_000n), meteredAt: world.now() }]
    expect(await world.metered()).toMatchObject(runs)
    const { rental, timers } = world
    expect(timers.get(`meter:${rental}`)).toEqual({
      name: 'meter',
      payload: { rental, period: 2 },
      runAt: '2026-01-01T00:10:00.000Z',
    })
  })

  test('keeps the rhythm of the start, also when its timer came late', async () => {
    const world = await runningRental()
    world.pass(417)
    await world.period(1)
    expect(await world.metered()).toMatchObject([{ runSeconds: 417n }])
    expect(world.timers.get(`meter:${world.rental}`)).toMatchObject({ runAt: '2026-01-01T00:10:00.000Z' })
  })

  test('after an outage is one charge for all that is past, and the next timer is one that is not past', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 3599 }), fc.integer({ min: 7, max: 400 }), async (away, length) => {
        const world = await runningRental({ chargePeriodSeconds: length })
        world.pass(length + away)
        await world.period(1)
        const { payload, runAt } = world.timers.get(`meter:${world.rental}`) as {
          payload: { period: number }
          runAt: string
        }
        const untilMs = Date.parse(runAt) - Date.parse(world.now())
        expect(untilMs).toBeGreaterThan(0)
        expect(untilMs).toBeLessThanOrEqual(length * 1000)
        expect(Date.parse(runAt)).toBe(Date.parse(start) + payload.period * length * 1000)
        expect(await world.metered()).toHaveLength(1)
      }),
      { numRuns: 50 },
    )
  })

  test('is metered once, though its timer fires again', async () => {
    const world = await runningRental()
    world.pass(300)
    await world.period(1)
    world.timers.clear()
    world.pass(100)
    await world.period(1)
    expect(await world.metered()).toMatchObject([{ runSeconds: 300n }])
    // The process that metered may have died before it set the next timer.
    expect(world.timers.get(`meter:${world.rental}`)).toMatchObject({ payload: { period: 2 } })
  })

  test('is metered once, though its timer fires in two processes at different times', async () => {
    const world = await runningRental()
    world.pass(300)
    const late = (): string => '2026-01-01T00:05:07.000Z'
    const other = { ...world, now: late, commands: createCommands({ store: world.store }) }
    await Promise.all([meterPeriod(other, { rental: world.rental, period: 1 }), world.period(1)])
    expect(await world.metered()).toHaveLength(1)
  })

  test('counts what the provider acknowledged: silence costs nothing, and the rental goes on', async () => {
    const world = await runningRental()
    world.goSilent(300)
    await world.period(1)
    expect(await world.metered()).toEqual([])
    expect(world.timers.get(`meter:${world.rental}`)).toMatchObject({ payload: { period: 2 } })
    world.pass(300)
    await world.period(2)
    expect(await world.metered()).toMatchObject([{ runSeconds: 300n }])
  })

  test('carries the correlation of the request, and the meter as its actor', async () => {
    const world = await runningRental()
    world.pass(300)
    await world.period(1)
    const { history } = await world.commands.load('rental', world.rental)
    expect(history.at(-1)?.correlationId).toBe(history[0]?.correlationId)
    for await (const { type, metadata } of world.store.readAll())
      if (type === 'UsageMetered') expect(metadata.actor).toBe(systemActor('meter'))
  })

  test('of a rental that is over changes nothing and sets no timer', async () => {
    const world = await runningRental()
    world.pass(120)
    await world.end()
    const before = await world.store.head()
    world.pass(180)
    await world.period(1)
    expect(await world.store.head()).toBe(before)
    expect(world.timers).toEqual(new Map())
  })

  test('of a rental that ends at that very moment sets no timer', async () => {
    const world = await runningRental()
    world.pass(300)
    const heartbeats = {
      ...world.heartbeats,
      acknowledged: async (...asked: Parameters<typeof world.heartbeats.acknowledged>) => {
        await world.end()
        return world.heartbeats.acknowledged(...asked)
      },
    }
    await meterPeriod({ ...world, heartbeats }, { rental: world.rental, period: 1 })
    expect(world.timers).toEqual(new Map())
    expect((await world.events()).map(({ event }) => event.type)).toEqual(['UsageMetered', 'RentalEnded'])
  })

  test('of a rental that does not exist is nothing', async () => {
    const world = await runningRental()
    await meterPeriod(world, { rental: 'nobody', period: 1 })
    expect(world.timers).toEqual(new Map())
  })
})

describe('the end', () => {
  test('meters the exact run, the last part of a period included', async () => {
    const world = await runningRental()
    world.pass(300)
    await world.period(1)
    world.pass(77)
    expect(await world.end()).toMatchObject({ outcome: 'executed', state: { status: 'ended', reason: 'returned' } })
    expect((await world.events()).map(({ event }) => event)).toMatchObject([
      { type: 'UsageMetered', runSeconds: 300n },
      { type: 'UsageMetered', runSeconds: 377n, fee: usdc(77_000n) },
      { type: 'RentalEnded', runSeconds: 377n, charged: usdc(377_000n), endedAt: world.now() },
    ])
  })

  test('by expiry costs exactly the rented time, however late it comes', async () => {
    const world = await runningRental()
    world.pass(3600 + 55)
    await world.end('expired', systemActor('timer'))
    expect((await world.events()).at(-1)?.event).toMatchObject({
      reason: 'expired',
      runSeconds: 3600n,
      charged: usdc(3_600_000n),
    })
  })

  test('of a silent provider costs what was acknowledged', async () => {
    const world = await runningRental()
    world.pass(600)
    world.goSilent(3000)
    await world.end('expired', systemActor('timer'))
    expect((await world.events()).at(-1)?.event).toMatchObject({ runSeconds: 600n, charged: usdc(600_000n) })
  })

  test('that comes late makes up for no earlier silence', async () => {
    const world = await runningRental()
    world.goSilent(100)
    world.pass(3600)
    await world.period(12)
    await world.end('expired', systemActor('meter'))
    expect(await world.state('rental', world.rental)).toMatchObject({ status: 'ended', runSeconds: 3500n })
  })

  test('asked for twice is one end, and the second answer is the first', async () => {
    const world = await runningRental()
    world.pass(60)
    const first = await world.end()
    world.pass(60)
    if (isRefusal(first)) throw new Error(first.refused)
    expect(await world.end()).toMatchObject({ repeated: true, events: first.events, position: first.position })
  })

  test('asked for after another is refused, and adds nothing', async () => {
    const world = await runningRental()
    world.pass(60)
    await world.end()
    const before = await world.store.head()
    expect(await world.end('expired', systemActor('timer'))).toEqual({
      refused: 'RENTAL_NOT_ACTIVE',
      details: { status: 'ended' },
    })
    expect(await world.store.head()).toBe(before)
  })

  test('is for its renter alone', async () => {
    const world = await runningRental()
    expect(await world.end('returned', userActor('mallory'))).toMatchObject({ refused: 'NOT_YOURS' })
    expect(await world.end('returned', userActor('provider'))).toMatchObject({ refused: 'NOT_YOURS' })
  })

  test('of a rental that does not exist is refused', async () => {
    const world = await runningRental()
    const asked = endRental(world, 'nobody', 'expired', systemActor('timer'))
    expect(await asked).toMatchObject({ refused: 'RENTAL_NOT_ACTIVE' })
  })
})

test('the total never depends on how often it was metered', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.bigInt(1n, 10n ** 9n),
      fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 12 }),
      fc.integer({ min: 0, max: 900 }),
      async (price, periods, last) => {
        const world = await runningRental({ price })
        for (const [index, seconds] of periods.entries()) {
          world.pass(seconds)
          await world.period(index + 1)
        }
        world.pass(last)
        const ended = await world.end()
        if (isRefusal(ended)) throw new Error(ended.refused)
        const run = BigInt(
          Math.min(
            periods.reduce((sum, seconds) => sum + seconds, last),
            3600,
          ),
        )
        const metered = await world.metered()
        expect(ended.state).toMatchObject({ runSeconds: run, charged: usdc((price * run) / 3600n) })
        expect(metered.reduce((sum, { fee }) => sum + fee.amount, 0n)).toBe((price * run) / 3600n)
        expect(metered.every(({ fee }) => fee.amount >= 0n)).toBe(true)
      },
    ),
    { numRuns: 60 },
  )
})

describe('silence', () => {
  const toleranceSeconds = 30
  const period = 300

  /** Lets the world run second by second through an outage: the scheduler beats every `beatSeconds` unless it is out,
   *  and the timers fire when they are due, unless the workers are out too. Resolves to the seconds that were charged. */
  const chargedThrough = async (
    seconds: number,
    {
      from,
      length,
      workersOut,
      beatSeconds,
    }: { from: number; length: number; workersOut: boolean; beatSeconds: number },
  ): Promise<bigint> => {
    const { rental, ...world } = await createActiveRental({ seconds: BigInt(seconds) })
    const heartbeats = heartbeatsInMemory()
    const timers = new Map<string, { name: string; payload: { period: number }; runAt: string }>()
    const schedule: Schedule = async (name, payload, { key, runAt }) => {
      timers.set(key, { name, payload: payload as { period: number }, runAt })
    }
    const dependencies = { ...world, heartbeats, schedule, chargePeriodSeconds: 7 }
    const isOut = (second: number) => second > from && second < from + length
    await startMeter(dependencies, rental, start, new Date(Date.parse(start) + seconds * 1000).toISOString())
    for (let second = 0; timers.size > 0; second++) {
      if (second > seconds + from + length + period) throw new Error('the rental does not end')
      if (second % beatSeconds === 0 && !isOut(second)) await heartbeats.beat(world.now())
      if (!(workersOut && isOut(second)))
        for (const [key, { name, payload, runAt }] of [...timers])
          if (runAt <= world.now()) {
            timers.delete(key)
            if (name === 'meter') await meterPeriod(dependencies, { rental, period: payload.period })
            else await expireRental(dependencies, rental)
          }
      world.pass(1)
    }
    const state = await world.state('rental', rental)
    if (state.status !== 'settled') throw new Error(`The rental is ${state.status}`)
    return state.runSeconds
  }

  test.each([20, 35, 60, 200])('of 66 s from second 8 on is not paid for in a rental of %i s', async (seconds) => {
    for (const workersOut of [true, false]) {
      const charged = await chargedThrough(seconds, { from: 8, length: 66, workersOut, beatSeconds: 1 })
      expect(charged).toBe(BigInt(8 + Math.max(0, seconds - 74)))
    }
  })

  test('counts the same whatever was rented, and nobody pays for more of it than the bound', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 150 }),
        fc.record({
          from: fc.integer({ min: 0, max: 100 }),
          length: fc.oneof(fc.integer({ min: 0, max: 120 }), fc.integer({ min: 28, max: 34 })),
          workersOut: fc.boolean(),
          beatSeconds: fc.integer({ min: 1, max: 5 }),
        }),
        async (seconds, outage) => {
          const charged = await chargedThrough(seconds, outage)
          const { from, length, beatSeconds } = outage
          const before = Math.floor(from / beatSeconds) * beatSeconds
          const after = Math.ceil(Math.max(from + length, from) / beatSeconds) * beatSeconds
          const isLong = after - before > toleranceSeconds
          const silent = isLong ? Math.max(0, Math.min(seconds, after) - before) : 0
          expect(charged).toBe(BigInt(seconds - silent))
        },
      ),
      { numRuns: 60 },
    )
  }, 60_000)
})
