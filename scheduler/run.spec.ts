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
  open: { jobs?: string[]; listsFail?: boolean; beatsFail?: boolean; throwing?: string } = {},
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
    jobs: {
      reconcile: async (job) => {
        await record(`reconcile ${job}`)
        if (job === open.throwing) throw new Error('no')
      },
      stopEnded: async (jobs) => record(`stop all that have ended but ${jobs.join(', ')}`),
      close: noop,
    },
    heartbeats: { beat: (at) => (open.beatsFail ? Promise.reject(new Error('no beat')) : record(`beat ${at}`)) },
    openWork: { openJobs: async (rental) => (rental ? [`job-of-${rental}`] : listOf(open.jobs ?? [])) },
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
    expect(calls.filter((call) => !/^(beat|stop)/.test(call))).toEqual([
      'reconcile job',
      'reconcile job',
      `reconcile job-of-${world.rental}`,
      `scheduler saw ${types}`,
    ])
  })

  test('reconciles all open jobs as soon as it starts', async () => {
    const { calls } = await runUntil({ now: () => 'now', events: [] }, 'reconcile two', { jobs: ['one', 'two'] })
    expect(calls.filter((call) => call.startsWith('reconcile'))).toEqual(['reconcile one', 'reconcile two'])
  })

  test('stops what its cluster still runs of jobs that have ended, after all open ones', async () => {
    const until = 'stop all that have ended but one, two'
    const { calls } = await runUntil({ now: () => 'now', events: [] }, until, { jobs: ['one', 'two'] })
    expect(calls.filter((call) => !call.startsWith('beat')).slice(-3)).toEqual([
      'reconcile one',
      'reconcile two',
      until,
    ])
  })

  test('beats as soon as it starts, whatever is rented', async () => {
    const { calls } = await runUntil({ now: () => 'now', events: [] }, 'beat now', { listsFail: true })
    expect(calls).toContain('beat now')
  })

  test('looks at all open jobs, and at all events, also after a job that throws', async () => {
    const listed = { jobs: ['one', 'two', 'three'], throwing: 'one' }
    const { calls } = await runUntil({ now: () => 'now', events: [] }, 'reconcile three', listed)
    expect(calls.filter((call) => call.startsWith('reconcile'))).toEqual(listed.jobs.map((job) => `reconcile ${job}`))
    const world = await marketWithJob()
    const types = 'RentalActivated, JobSubmitted, JobStopRequested, RentalEnded'
    const seen = await runUntil(world, `scheduler saw ${types}`, { throwing: 'job' })
    expect(seen.calls).toContain(`reconcile job-of-${world.rental}`)
    expect(seen.warnings).toContain('an event could not be handled; the lists of open work make up for it')
  })

  test('goes on after an event that it cannot read', async () => {
    const world = await marketWithJob()
    const events = world.events.map((event) => (event.type === 'JobSubmitted' ? { ...event, data: {} } : event))
    const types = 'RentalActivated, JobSubmitted, JobStopRequested, RentalEnded'
    const { calls } = await runUntil({ ...world, events }, `scheduler saw ${types}`)
    expect(calls).toContain(`reconcile job-of-${world.rental}`)
  })

  test('goes on when open work cannot be listed, and logs a warning', async () => {
    const expected = ['heartbeats could not be recorded', 'open jobs could not be reconciled']
    const { warnings } = await runUntil({ now: () => 'now', events: [] }, 'heartbeats could not be recorded', {
      listsFail: true,
      beatsFail: true,
    })
    expect(warnings.toSorted()).toEqual(expected)
  })
})
