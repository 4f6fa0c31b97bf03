import { describe, expect, test } from '@jest/globals'
import { systemActor, userActor } from '../commands/actor.ts'
import { mustExecute } from '../commands/execute.ts'
import { newId } from '../commands/ids.ts'
import type { Bus } from '../infra/bus/port.ts'
import type { StoredEvent } from '../infra/event-store/port.ts'
import { createLog } from '../infra/telemetry.ts'
import { endRental } from '../processes/end-rental.ts'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { runScheduler } from './run.ts'

/** Creates a market with the events of one rental: its job is submitted, a stop is requested, and the rental ends. */
const marketWithJob = async () => {
  const { rental, ...world } = await createActiveRental()
  const metadata = { correlationId: 'c', causationId: 'c', actor: systemActor('test'), time: world.now() }
  const program = { command: ['true'], files: [], environment: {}, timeoutSeconds: 1, cpuCores: 1, memoryMib: 1 }
  const submit = { type: 'SubmitJob', rental, renter: 'ada', submittedAt: world.now(), ...program } as const
  mustExecute(await world.commands.execute('job', 'job', submit, { ...metadata, commandId: newId() }))
  const stop = { type: 'RequestStop', reason: 'enough', requestedAt: world.now() } as const
  mustExecute(await world.commands.execute('job', 'job', stop, { ...metadata, commandId: newId() }))
  await endRental({ ...world, heartbeats: steadyHeartbeats() }, rental, 'returned', userActor('ada'))
  const events: StoredEvent[] = []
  for await (const event of world.store.readAll()) events.push(event)
  return { rental, now: world.now, events }
}
const noop = async () => undefined

/** Runs the scheduler on a bus with these events. Stops it when it makes the call `until` or logs it as a warning, and
 *  resolves to all calls and warnings. */
const runUntil = async (
  { now, events }: { now: () => string; events: readonly StoredEvent[] },
  until: string,
  open: { jobs?: string[]; rentals?: { id: string; endsAt: string }[]; listsFail?: boolean } = {},
) => {
  const calls: string[] = []
  const warnings: string[] = []
  const stopping = new AbortController()
  const stopped = Promise.withResolvers<void>()
  stopping.signal.addEventListener('abort', () => stopped.resolve())
  const reached = Promise.withResolvers<void>()
  const record = async (call: string) => {
    calls.push(call)
    if (call === until) reached.resolve()
  }
  const bus: Bus = {
    name: 'spec',
    position: async () => undefined,
    consume: async ({ consumer, filter, handle }) => {
      const wanted = events.filter(({ type }) => filter.types?.includes(type))
      const last = wanted.at(-1)
      if (last) await handle({ events: wanted, position: last.position, bytes: 0 })
      await record(`${consumer} saw ${wanted.map(({ type }) => type).join(', ')}`)
      await stopped.promise
    },
  }
  const listOf = async <T>(list: readonly T[]) => {
    if (open.listsFail) throw new Error('no list')
    return list
  }
  const write = (line: string) => {
    const { msg } = JSON.parse(line) as { msg: string }
    warnings.push(msg)
    if (msg === until) reached.resolve()
  }
  const scheduler = runScheduler({
    bus,
    jobs: { reconcile: (job) => record(`reconcile ${job}`), close: noop },
    heartbeats: {
      begin: (rental, startedAt) => record(`begin ${rental} ${startedAt}`),
      beat: (rentals, at) => record(`beat ${rentals.join(' ')} ${at}`),
      acknowledged: async () => 0n,
      end: (rental) => record(`end ${rental}`),
    },
    openWork: {
      openJobs: async (rental) => (rental ? [`job-of-${rental}`] : listOf(open.jobs ?? [])),
      activeRentals: async () => listOf(open.rentals ?? []),
    },
    now,
    log: createLog({ level: 'warn', format: 'json' }, { write }),
    signal: stopping.signal,
  })
  await Promise.race([reached.promise, scheduler])
  stopping.abort()
  await scheduler
  return { calls, warnings }
}

describe('the scheduler', () => {
  test('handles the events of jobs and rentals in order', async () => {
    const world = await marketWithJob()
    const types = 'RentalActivated, JobSubmitted, JobStopRequested, RentalEnded'
    const { calls } = await runUntil(world, `scheduler saw ${types}`)
    expect(calls.filter((call) => !call.startsWith('beat'))).toEqual([
      `begin ${world.rental} ${world.now()}`,
      'reconcile job',
      'reconcile job',
      `reconcile job-of-${world.rental}`,
      `end ${world.rental}`,
      `scheduler saw ${types}`,
    ])
  })

  test('reconciles all open jobs as soon as it starts', async () => {
    const { calls } = await runUntil({ now: () => 'now', events: [] }, 'reconcile two', { jobs: ['one', 'two'] })
    expect(calls.filter((call) => call.startsWith('reconcile'))).toEqual(['reconcile one', 'reconcile two'])
  })

  test('records heartbeats of all active rentals as soon as it starts, but not of one whose time is over', async () => {
    const rentals = ['2026-01-01T00:00:02.000Z', '2026-01-01T00:00:01.000Z', '2026-01-01T00:00:03.000Z']
    const { calls } = await runUntil(
      { now: () => '2026-01-01T00:00:01.000Z', events: [] },
      'beat 0 2 2026-01-01T00:00:01.000Z',
      {
        rentals: rentals.map((endsAt, index) => ({ id: String(index), endsAt })),
      },
    )
    expect(calls.filter((call) => /^b/.test(call))).toEqual(['beat 0 2 2026-01-01T00:00:01.000Z'])
  })

  test('goes on when open work cannot be listed, and logs a warning', async () => {
    const expected = ['heartbeats could not be recorded', 'open jobs could not be reconciled']
    const { warnings } = await runUntil({ now: () => 'now', events: [] }, 'heartbeats could not be recorded', {
      listsFail: true,
    })
    expect(warnings.toSorted()).toEqual(expected)
  })
})
