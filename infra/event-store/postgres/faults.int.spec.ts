import { randomInt } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { endOtherConnections } from '../../../testing/servers/database.ts'
import { sleep } from '../../async/sleep.ts'
import {
  appendUntilAnswered,
  codeThrownBy,
  collect,
  eventsUntil,
  idsOf,
  newEvent,
  newEvents,
  newStream,
  to,
} from '../contract.ts'
import type { Batch } from '../port.ts'
import { openPostgresEventStore } from '../postgres.ts'
import { useStoreFixture } from './store.testing.ts'

describe('event store on Postgres when things break', () => {
  const fixture = useStoreFixture()

  describe('a connection that is cut', () => {
    const writing = `select pid from pg_stat_activity where datname = current_database() and query like 'select log.append_%'`

    test('before the commit: nothing was written, and the same append again writes it', async () => {
      const store = await fixture.openStore({ database: fixture.database })
      const holder = await fixture.specDatabase.connect()
      // Not in the transaction of the holder: within one transaction, the server returns the same activity again and
      // again.
      const observer = await fixture.specDatabase.connect()
      const stream = newStream()
      await holder.query('begin; lock table log.events in exclusive mode')
      const append = to(stream, 'no stream', newEvent())
      const code = codeThrownBy(() => store.append(append))
      await eventually('the append to wait', async () => {
        const { rows } = await observer.query(`${writing} and wait_event_type = 'Lock'`)
        return rows.length > 0
      })
      await observer.query(`select pg_terminate_backend(pid) from (${writing}) w`)
      expect(await code).toBe('DATABASE_UNAVAILABLE')
      await holder.query('rollback')
      expect(await store.append(append)).toMatchObject({ outcome: 'appended', revision: 0n, repeated: false })
    })

    test('after the commit: it was written, and the same append again is a repetition', async () => {
      const store = await fixture.openStore({ database: fixture.database })
      const append = to(newStream(), 'no stream', newEvent())
      fixture.database.loseResponseTo('eventStore.append')
      expect(await codeThrownBy(() => store.append(append))).toBe('DATABASE_UNAVAILABLE')
      expect(await store.append(append)).toMatchObject({ outcome: 'appended', revision: 0n, repeated: true })
    })

    test('at any moment: an append that is retried is stored once, and a tail misses nothing', async () => {
      const [store, follower] = [await fixture.openStore({ database: fixture.database }), await fixture.openStore()]
      const admin = await fixture.specDatabase.connect()
      let all = Number.POSITIVE_INFINITY
      const tailed = eventsUntil(follower, { batchSize: 7, signal: fixture.stop.signal }, () => all)
      let [cutting, answered, cuts] = [true, 0, 0]
      const cut = async () => {
        for (let before = -1; cutting; await sleep(randomInt(30))) {
          // Where a new connection takes longer than the pause, one more cut would end each before it has done anything.
          if (answered === before) continue
          before = answered
          const { rows } = await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and usename = current_user and pid <> pg_backend_pid()
              and state = 'active' limit 2`)
          cuts += rows.length
        }
      }
      const cutter = cut()
      const streams = await Promise.all(
        Array.from({ length: 12 }, async () => {
          const [stream, events] = [newStream(), newEvents(0)]
          // The cutter finds a connection at work only now and then.
          for (let n = 0; n < 50 || cuts === 0; n++) {
            const event = newEvent()
            events.push(event)
            const answer = await appendUntilAnswered(store, to(stream, n === 0 ? 'no stream' : BigInt(n - 1), event))
            expect(answer).toMatchObject({ outcome: 'appended', revision: BigInt(n) })
            answered += 1
          }
          return { stream, events }
        }),
      )
      cutting = false
      await cutter
      expect(cuts).toBeGreaterThan(0)
      all = answered + 1
      await appendUntilAnswered(store, to(newStream(), 'no stream', newEvent()))
      for (const { stream, events } of streams)
        expect(idsOf(await collect(store.readStream(stream)))).toEqual(idsOf(events))
      expect(await tailed).toEqual(await collect(follower.readAll()))
    })
  })

  test('a primary that has become a standby: appends are unavailable, and its connections discarded', async () => {
    const admin = await fixture.specDatabase.connect()
    const store = await fixture.openStore({ database: fixture.database })
    const { rows } = await admin.query('select current_database() as name')
    // Holds for the connections that are made from then on, as they would be on the standby.
    await admin.query(`alter database ${rows[0].name} set default_transaction_read_only = on`)
    await admin.query(endOtherConnections)
    const appends = newEvents(3).map((event) => to(newStream(), 'no stream', event))
    const appendAll = () => Promise.all(appends.map((append) => codeThrownBy(() => store.append(append))))
    // The first round may meet a connection that was ended.
    for (let round = 0; round < 2; round += 1)
      expect(await appendAll()).toEqual(appends.map(() => 'DATABASE_UNAVAILABLE'))
    const write = () => fixture.database.transaction('spec', (query) => query('spec', 'create table made ()'))
    expect(await codeThrownBy(write)).toBe('DATABASE_UNAVAILABLE')
    await admin.query(`alter database ${rows[0].name} reset default_transaction_read_only`)
    expect(await appendAll()).toEqual(appends.map(() => undefined))
    await write()
    expect(await collect(store.readAll())).toHaveLength(3)
  })

  describe('a subscription', () => {
    test('survives an outage of the database, and resumes where it was', async () => {
      const [store, follower] = [
        await fixture.openStore(),
        await fixture.openStore({ database: fixture.database, pollMs: 20 }),
      ]
      const batches: Batch[] = []
      const [early, late] = [newEvents(2), newEvents(2)]
      await store.append(to(newStream(), 'any', ...early))
      for await (const batch of follower.subscribe({ signal: fixture.stop.signal })) {
        batches.push(batch)
        if (batches.length > 1) break
        fixture.database.setUnavailable(true)
        const headQueries = fixture.database.queryCounts.get('eventStore.head') ?? 0
        await store.append(to(newStream(), 'any', ...late))
        const back = setInterval(() => {
          if ((fixture.database.queryCounts.get('eventStore.head') ?? 0) < headQueries + 2) return
          fixture.database.setUnavailable(false)
          clearInterval(back)
        }, 5)
      }
      expect(batches.map(({ events }) => idsOf(events))).toEqual([idsOf(early), idsOf(late)])
    })

    test('ends at once when it is aborted during an outage of the database', async () => {
      const store = await fixture.openStore({ database: fixture.database })
      await store.append(to(newStream(), 'any', newEvent()))
      fixture.database.setUnavailable(true)
      const pending = collect(store.subscribe({ signal: fixture.stop.signal }))
      fixture.stop.abort()
      expect(await pending).toEqual([])
      fixture.database.setUnavailable(false)
    })

    test('ends at once when it is aborted while a read hangs', async () => {
      const store = await fixture.openStore({ database: fixture.database })
      await store.append(to(newStream(), 'any', newEvent()))
      const admin = await fixture.specDatabase.connect()
      await admin.query('begin; lock table log.events in access exclusive mode')
      const pending = collect(store.subscribe({ signal: fixture.stop.signal }))
      while ((await admin.query('select from pg_locks where not granted')).rows.length === 0);
      fixture.stop.abort()
      expect(await pending).toEqual([])
      await admin.query('rollback')
    })

    test('waits for the cause of an error to be gone, also where no retry helps before', async () => {
      const reasons: unknown[] = []
      const log = { warn: (fields: object) => reasons.push(fields) } as never
      const store = await openPostgresEventStore({ database: fixture.database, pollMs: 20, log })
      const [event] = newEvents(1)
      await store.append(to(newStream(), 'any', event ?? newEvent()))
      const admin = await fixture.specDatabase.connect()
      await admin.query('alter table log.events rename to elsewhere')
      const pending = eventsUntil(store, { signal: fixture.stop.signal }, 1)
      await eventually('it was logged', () => reasons.length > 0)
      expect(reasons).toEqual([{ reason: expect.stringContaining('log.events') }])
      await admin.query('alter table log.elsewhere rename to events')
      expect(idsOf(await pending)).toEqual([event?.id])
      await store.close()
    })

    test('ends when the store is closed, and the store then refuses appends', async () => {
      const store = await fixture.openStore({ database: fixture.database })
      const pending = collect(store.subscribe({ signal: fixture.stop.signal }))
      const last = store.append(to(newStream(), 'any', newEvent()))
      await store.close()
      expect(await last).toMatchObject({ outcome: 'appended' })
      expect((await pending).length).toBeLessThanOrEqual(1)
      expect(await codeThrownBy(() => store.append(to(newStream(), 'any', newEvent())))).toBe('DATABASE_UNAVAILABLE')
    })
  })
})
