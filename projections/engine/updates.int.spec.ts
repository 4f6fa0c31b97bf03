import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import type { Position } from '../../infra/event-store/port.ts'
import type { ProviderRow } from '../providers.table.ts'
import { providers } from '../providers.ts'
import { createSpecLog, register, type SpecLog } from './log.testing.ts'
import { followProjections, type Projections } from './start.ts'
import { type Update, updates } from './updates.ts'
import { createReadWorld, type ReadWorld } from './world.testing.ts'

/** The database refuses each row whose name begins with "!", as it refuses a value that a column cannot hold. */
const TRIGGER = `create function read.refuse() returns trigger language plpgsql as $$ begin
    if new.name like '!%' then raise exception 'refused by the spec' using errcode = '22001'; end if;
    return new;
  end $$;
  create trigger refuse before insert or update on read.providers for each row execute function read.refuse()`

let world: ReadWorld
let log: SpecLog
let models: Projections
beforeEach(async () => {
  world = await createReadWorld()
  log = createSpecLog(world.store)
  models = world.start({ projections: [providers] })
  // Once it was begun on an empty log, the live table is written: the table of a build would have no trigger.
  await models.waitFor(world.store.start, 15_000)
  await world.database.query('spec.trigger', TRIGGER)
})
afterEach(() => world.close())

const rename = (id: string, name: string) => log.write('provider', id, { type: 'ProviderRenamed', name })
const rows = async () => {
  const found = await world.database.query<{ id: string; name: string }>(
    'spec.rows',
    'select id, name from read.providers',
  )
  return new Map(found.map(({ id, name }) => [id, name]))
}
/** Resolves to the position from which each stream is parked. */
const parkedAt = async () => {
  const found = await world.database.query<{ stream: string; position: Position }>(
    'spec.parked',
    'select stream, position from read.parked_streams',
  )
  return new Map(found.map(({ stream, position }) => [stream, position]))
}
const endless = () => new AbortController().signal
const open = (options: { after?: Position; stream?: string; signal?: AbortSignal }, { parkedAsOf } = models) =>
  updates({ ...world, parkedAsOf, projection: providers, signal: endless(), ...options })

/** Resolves to the updates before the one of the stream `last`. */
const untilLast = async (from: AsyncGenerator<Update<ProviderRow>>): Promise<Update<ProviderRow>[]> => {
  const taken: Update<ProviderRow>[] = []
  for await (const update of from) {
    if (update.row.id === 'last') break
    taken.push(update)
  }
  return taken
}

describe('a subscriber sees what the read model shows, also where the database refuses a row', () => {
  test('resumed from anywhere, in this process and in one without the read models', async () => {
    await log.write('provider', 'last', register('last'))
    let run = 0
    let refused = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ stream: fc.nat(2), name: fc.constantFrom('!', 'A', 'B') }), { maxLength: 12 }),
        fc.nat(12),
        fc.boolean(),
        async (events, resumeAt, isElsewhere) => {
          run++
          const written: { id: string; position: Position }[] = []
          const after = [await world.store.head()]
          for (const stream of [0, 1, 2]) await log.write('provider', `${run}-${stream}`, register(`${run}-${stream}`))
          for (const { stream, name } of events) {
            const id = `${run}-${stream}`
            written.push({ id, position: await rename(id, name) })
            after.push(await world.store.head())
          }
          await rename('last', String(run))
          const from = after[resumeAt] ?? (after[0] as Position)
          const model = isElsewhere ? followProjections({ ...world, projections: [providers] }) : models
          const seen = await untilLast(open({ after: from }, model))
          if (isElsewhere) await model.close()
          // Of the events in one batch the read model writes the last row alone: which stream is parked depends on it.
          const parked = await parkedAt()
          const isShown = ({ id, position }: (typeof written)[number]) =>
            position > from && position < (parked.get(`provider-${id}`) ?? '~')
          const renamed = seen.filter(({ type }) => type === 'ProviderRenamed')
          expect(renamed.map(({ position }) => position)).toEqual(
            written.filter(isShown).map(({ position }) => position),
          )
          const shown = await rows()
          for (const [id, name] of new Map(seen.map(({ row }) => [row.id, row.name])))
            expect([id, name]).toEqual([id, shown.get(id)])
          refused += written.filter((one) => one.position > from && !isShown(one)).length
        },
      ),
      { numRuns: 20 },
    )
    expect(refused).toBeGreaterThan(0)
  })

  test('from the row of a stream as it is now', async () => {
    await log.write('provider', 'fine', register('fine'))
    await log.write('provider', 'refused', register('refused'))
    // Of the events in one batch the read model writes the last row alone: each is in one of its own.
    for (const name of ['Shown', '!', 'Held']) {
      await rename('refused', name)
      await world.caughtUp()
    }
    await log.write('provider', 'none', { ...register('none'), name: '!' })
    const snapshotOf = async (id: string) => {
      const stop = new AbortController()
      const live = open({ stream: `provider-${id}`, signal: stop.signal })
      const first = live.next()
      setTimeout(() => stop.abort(), 1_000)
      const { value } = await first
      stop.abort()
      return value?.row.name
    }
    expect([await snapshotOf('fine'), await snapshotOf('refused'), await snapshotOf('none')]).toEqual([
      'Acme',
      'Shown',
      undefined,
    ])
  })

  test('while the read model is behind, and then goes on', async () => {
    await log.write('provider', 'p', register('p'))
    await world.caughtUp()
    await models.close()
    const after = await world.store.head()
    await rename('p', '!')
    const later = followProjections({ ...world, projections: [providers] })
    const seen: Update<ProviderRow>[] = []
    const stop = new AbortController()
    const following = (async () => {
      for await (const update of open({ after, signal: stop.signal }, later)) seen.push(update)
    })()
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(seen).toEqual([])
    const again = world.start({ projections: [providers] })
    await log.write('provider', 'q', register('q'))
    await again.waitFor(await world.store.head(), 15_000)
    const until = performance.now() + 5_000
    while (seen.length === 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20))
    stop.abort()
    await following
    await later.close()
    expect(seen.map(({ row }) => row.id)).toEqual(['q'])
  })

  test('with one reading of the checkpoint for all subscribers, as long as nothing is parked', async () => {
    const after = await world.store.head()
    for (const id of ['a', 'b', 'c', 'd', 'e', 'last']) await log.write('provider', id, register(id))
    await world.caughtUp()
    const labels: string[] = []
    const query: typeof world.database.query = (label, ...rest) => {
      labels.push(label)
      return world.database.query(label, ...rest)
    }
    const counted = followProjections({ ...world, database: { ...world.database, query }, projections: [providers] })
    const subscribers = Array.from({ length: 50 }, () => untilLast(open({ after }, counted)))
    for (const seen of await Promise.all(subscribers)) expect(seen).toHaveLength(5)
    await counted.close()
    expect(labels.length).toBeLessThanOrEqual(3)
    expect(labels).not.toContain('parking.served')
  })
})
