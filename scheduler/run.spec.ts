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

/** A rental with a job that waits. */
const market = async () => {
  const { rental, ...world } = await createActiveRental()
  const tell = { correlationId: 'c', causationId: 'c', actor: systemActor('test'), time: world.now() }
  const program = { command: ['true'], files: [], environment: {}, timeoutSeconds: 1, cpuCores: 1, memoryMib: 1 }
  const submit = { type: 'SubmitJob', rental, renter: 'ada', submittedAt: world.now(), ...program } as const
  mustExecute(await world.commands.execute('job', 'job', submit, { ...tell, commandId: newId() }))
  const stop = { type: 'RequestStop', reason: 'enough', requestedAt: world.now() } as const
  mustExecute(await world.commands.execute('job', 'job', stop, { ...tell, commandId: newId() }))
  await endRental({ ...world, heartbeats: steadyHeartbeats() }, rental, 'returned', userActor('ada'))
  const events: StoredEvent[] = []
  for await (const event of world.store.readAll()) events.push(event)
  return { rental, now: world.now, events }
}
const noop = async () => undefined

/** Runs the scheduler on a bus with these events, and writes down what it does; stops when `until` is heard. */
const heard = async (
  { now, events }: { now: () => string; events: readonly StoredEvent[] },
  until: string,
  open: { jobs?: string[]; rentals?: { id: string; endsAt: string }[]; brokenLists?: boolean } = {},
) => {
  const said: string[] = []
  const warnings: string[] = []
  const stopping = new AbortController()
  const stopped = Promise.withResolvers<void>()
  stopping.signal.addEventListener('abort', () => stopped.resolve())
  const reached = Promise.withResolvers<void>()
  const say = async (what: string) => {
    said.push(what)
    if (what === until) reached.resolve()
  }
  const bus: Bus = {
    name: 'spec',
    position: async () => undefined,
    consume: async ({ consumer, filter, handle }) => {
      const wanted = events.filter(({ type }) => filter.types?.includes(type))
      const last = wanted.at(-1)
      if (last) await handle({ events: wanted, position: last.position })
      await say(`${consumer} saw ${wanted.map(({ type }) => type).join(', ')}`)
      await stopped.promise
    },
  }
  const listed = async <T>(list: readonly T[]) => {
    if (open.brokenLists) throw new Error('no list today')
    return list
  }
  const write = (line: string) => {
    const { msg } = JSON.parse(line) as { msg: string }
    warnings.push(msg)
    if (msg === until) reached.resolve()
  }
  const scheduler = runScheduler({
    bus,
    jobs: { reconcile: (job) => say(`reconcile ${job}`), close: noop },
    heartbeats: {
      begin: (rental, startedAt) => say(`begin ${rental} ${startedAt}`),
      beat: (rentals, at) => say(`beat ${rentals.join(' ')} ${at}`),
      acknowledged: async () => 0n,
      end: (rental) => say(`end ${rental}`),
    },
    openWork: {
      openJobs: async (rental) => (rental ? [`job-of-${rental}`] : listed(open.jobs ?? [])),
      activeRentals: async () => listed(open.rentals ?? []),
    },
    now,
    log: createLog({ level: 'warn', format: 'json' }, { write }),
    signal: stopping.signal,
  })
  await Promise.race([reached.promise, scheduler])
  stopping.abort()
  await scheduler
  return { said, warnings }
}

describe('the scheduler', () => {
  test('acts on what the log says of jobs and rentals, in order', async () => {
    const world = await market()
    const types = 'RentalActivated, JobSubmitted, JobStopRequested, RentalEnded'
    const { said } = await heard(world, `scheduler saw ${types}`)
    expect(said.filter((what) => !what.startsWith('beat'))).toEqual([
      `begin ${world.rental} ${world.now()}`,
      'reconcile job',
      'reconcile job',
      `reconcile job-of-${world.rental}`,
      `end ${world.rental}`,
      `scheduler saw ${types}`,
    ])
  })

  test('looks through all open jobs as soon as it starts', async () => {
    const { said } = await heard({ now: () => 'now', events: [] }, 'reconcile two', { jobs: ['one', 'two'] })
    expect(said.filter((what) => what.startsWith('reconcile'))).toEqual(['reconcile one', 'reconcile two'])
  })

  test('says at once of all active rentals that they live, but not of one whose time is up', async () => {
    const rentals = ['2026-01-01T00:00:02.000Z', '2026-01-01T00:00:01.000Z', '2026-01-01T00:00:03.000Z']
    const { said } = await heard(
      { now: () => '2026-01-01T00:00:01.000Z', events: [] },
      'beat 0 2 2026-01-01T00:00:01.000Z',
      {
        rentals: rentals.map((endsAt, index) => ({ id: String(index), endsAt })),
      },
    )
    expect(said.filter((what) => /^b/.test(what))).toEqual(['beat 0 2 2026-01-01T00:00:01.000Z'])
  })

  test('goes on when a list cannot be had, and says so', async () => {
    const trouble = ['heartbeats could not be recorded', 'open jobs could not be looked through']
    const { warnings } = await heard({ now: () => 'now', events: [] }, 'heartbeats could not be recorded', {
      brokenLists: true,
    })
    expect(warnings.toSorted()).toEqual(trouble)
  })
})
