import { afterEach, describe, expect, test } from '@jest/globals'
import { type EventStoreDbServer, startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import { eventually } from '../../../testing/eventually.ts'
import type { Log } from '../../telemetry.ts'
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
import { openEventStoreDb } from '../eventstoredb.ts'
import type { AllRange, Batch, EventStore, StoredEvent } from '../port.ts'

describe('event store on EventStoreDB when things break', () => {
  const stops: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const stop of stops.splice(0).reverse()) await stop()
  })

  const startServer = async (options?: Parameters<typeof startEventStoreDbServer>[0]): Promise<EventStoreDbServer> => {
    const server = await startEventStoreDbServer(options)
    stops.push(server.stop)
    return server
  }
  const open = async (
    url: string,
    options: { create?: boolean; openMs?: number; settleMs?: number; log?: Log } = {},
  ): Promise<EventStore> => {
    const store = await openEventStoreDb({ url, ...options })
    stops.push(store.close)
    return store
  }
  /** Machines that run many tests at once are slow. */
  const patient = { settleMs: 30_000 }
  const begin = async (options?: Parameters<typeof startEventStoreDbServer>[0]) => {
    const server = await startServer(options)
    return { server, store: await open(server.url, patient) }
  }

  describe('an append', () => {
    test.each([
      ['cut off before it was stored', 'cut before'],
      ['refused by a busy server', 'busy'],
      ['refused by a server that is not ready', 'not ready'],
      ['given up by a server whose followers do not answer', 'no quorum'],
      ['given up by a server whose followers write it later', 'late quorum'],
      ['cut off after it was stored', 'cut after'],
      ['never answered', 'hang'],
    ] as const)('%s is settled: it is stored once, and its repetition is one', async (_, fault) => {
      const { server, store } = await begin({ commitMsMax: 200 })
      const stream = newStream()
      for (const expected of ['no stream', 'any', 'stream exists', 2n] as const) {
        const append = to(stream, expected, newEvent())
        server.failNextAppend(fault)
        expect(await store.append(append)).toMatchObject({ outcome: 'appended', repeated: false })
        expect(await store.append(append)).toMatchObject({ outcome: 'appended', repeated: true })
      }
      expect((await collect(store.readStream(stream))).map(({ revision }) => revision)).toEqual([0n, 1n, 2n, 3n])
    })

    test.each(['cut before', 'cut after', 'hang', 'no quorum', 'late quorum'] as const)(
      '%s, and another process wrote there meanwhile: it is a conflict, or it is stored',
      async (fault) => {
        const { server, store } = await begin({ commitMsMax: 1_500 })
        const other = await open(server.url, patient)
        const stream = newStream()
        await store.append(to(stream, 'no stream', newEvent()))
        const [mine, theirs] = newEvents(2)
        if (!mine || !theirs) throw new Error('two events')
        server.failNextAppend(fault)
        const answers = await Promise.all([store.append(to(stream, 0n, mine)), other.append(to(stream, 0n, theirs))])
        expect(answers.map(({ outcome }) => outcome).toSorted()).toEqual(['appended', 'conflict'])
        const winner = answers[0].outcome === 'appended' ? mine : theirs
        expect(idsOf(await collect(store.readStream(stream))).slice(1)).toEqual([winner.id])
      },
    )

    test.each(['cut after', 'late quorum'] as const)(
      'larger than a page of a read, and %s, is found to be stored',
      async (fault) => {
        const { server, store } = await begin({ appendBytesMax: 16_000_000, commitMsMax: 200 })
        const stream = newStream()
        await store.append(to(stream, 'no stream', newEvent()))
        server.failNextAppend(fault)
        const events = newEvents(4).map((event) => ({ ...event, data: { text: 'x'.repeat(3_500_000) } }))
        expect(await store.append(to(stream, 0n, ...events))).toMatchObject({ revision: 4n, repeated: false })
      },
    )

    test('whose server stays away is DATABASE_UNAVAILABLE after the time that was given, and not before', async () => {
      const server = await startServer()
      const store = await open(server.url, { settleMs: 600 })
      await server.stop()
      const began = performance.now()
      expect(await codeThrownBy(() => store.append(to(newStream(), 'no stream', newEvent())))).toBe(
        'DATABASE_UNAVAILABLE',
      )
      const tookMs = performance.now() - began
      expect(tookMs).toBeGreaterThan(590)
      expect(tookMs).toBeLessThan(5_000)
    })

    test('to a server that answers nothing ends in that time, also behind others of its stream and where it reads first', async () => {
      const server = await startServer()
      const settleMs = 700
      const store = await open(server.url, { settleMs })
      const [known, unread] = [newStream(), newStream()]
      await store.append(to(known, 'no stream', newEvent()))
      const other = await open(server.url)
      await other.append(to(unread, 'no stream', newEvent()))
      server.freeze()
      const began = performance.now()
      const late = await Promise.all(
        [
          ...Array.from({ length: 4 }, () => to(known, 0n, newEvent())),
          to(newStream(), 'any', newEvent()),
          to(newStream(), 0n, newEvent()),
          to(unread, 'stream exists', newEvent()),
        ].map(async (append) => {
          expect(await codeThrownBy(() => store.append(append))).toBe('DATABASE_UNAVAILABLE')
          return performance.now() - began
        }),
      )
      expect(Math.max(...late)).toBeLessThan(3 * settleMs)
    })

    test('that another process is just writing is that one, and known before the server says so', async () => {
      const { server, store } = await begin()
      const other = await open(server.url)
      const began = performance.now()
      for (let round = 0; round < 5; round += 1) {
        const append = to(newStream(), 'no stream', ...newEvents(2))
        const answers = await Promise.all([store.append(append), other.append(append)])
        expect(answers.map((answer) => 'repeated' in answer && answer.repeated).toSorted()).toEqual([false, true])
      }
      expect(performance.now() - began).toBeLessThan(5 * 2_000)
    })

    test('that the server treats as a repetition, though its content differs, is refused', async () => {
      const { server, store } = await begin()
      const other = await open(server.url)
      const [stream, event] = [newStream(), newEvent()]
      await store.append(to(stream, 'no stream', newEvent()))
      await collect(other.readStream(stream))
      await store.append(to(stream, 0n, event))
      const changed = to(stream, 0n, { ...event, data: { n: 2 } })
      expect(await other.append(changed)).toMatchObject({ outcome: 'ids known', problem: 'other content' })
      expect(await collect(store.readStream(stream))).toHaveLength(2)
    })

    test('larger than the limit of the server is refused with that limit', async () => {
      const server = await startServer({ appendBytesMax: 1_000 })
      const store = await open(server.url)
      const append = to(newStream(), 'any', newEvent('Large', 'x'.repeat(2_000)))
      await expect(store.append(append)).rejects.toMatchObject({
        code: 'EVENT_INVALID',
        details: { stream: append.stream, reason: expect.stringContaining('Maximum Append Size of 1000') },
      })
    })

    test.each([
      ['a stream', '$mine', 'Happened'],
      ['a type', 'mine', '$Happened'],
      ['the internal stream of the engine', 'neuralmesh-event-store', 'Happened'],
    ])('to %s with a reserved name is refused', async (_, stream, type) => {
      const { store } = await begin()
      expect(await codeThrownBy(() => store.append(to(stream, 'any', newEvent(type))))).toBe('EVENT_INVALID')
      expect(await collect(store.readStream(stream))).toEqual([])
    })
  })

  describe('a cluster', () => {
    test('another node is the leader: appends, reads and subscriptions go to it', async () => {
      const { server: old, store } = await begin()
      const leader = await startServer({ log: old.log })
      old.follow(leader)
      const event = newEvent()
      expect(await store.append(to('s', 'no stream', event))).toMatchObject({ revision: 0n, repeated: false })
      expect(leader.asked.get('append')).toBe(1)
      expect(idsOf(await eventsUntil(store, {}, 1))).toEqual([event.id])
    })

    test('the leader is found among several nodes', async () => {
      const leader = await startServer()
      const follower = await startServer({ log: leader.log })
      follower.follow(leader)
      const store = await open(`esdb://127.0.0.1:${follower.port},127.0.0.1:${leader.port}?tls=false`)
      expect(await store.append(to('s', 'no stream', newEvent()))).toMatchObject({ revision: 0n })
      expect(follower.asked.get('append')).toBeUndefined()
    })

    test('without a leader nothing is stored; with the next leader it is', async () => {
      const server = await startServer()
      const store = await open(server.url, { settleMs: 400 })
      const append = to('s', 'no stream', newEvent())
      server.follow('nobody')
      expect(await codeThrownBy(() => store.append(append))).toBe('DATABASE_UNAVAILABLE')
      const appending = store.append(append)
      server.follow('myself')
      // The first may have been on its way: what became of it was not known.
      expect(await appending).toMatchObject({ outcome: 'appended', revision: 0n })
      expect(idsOf(await collect(store.readStream('s')))).toEqual(append.events.map(({ id }) => id))
    })
  })

  describe('a subscription', () => {
    const signal = () => {
      const controller = new AbortController()
      stops.push(async () => controller.abort())
      return controller.signal
    }

    test.each([1, 100])('in batches of %i, dropped again and again, skips none and repeats none', async (batchSize) => {
      const { server, store } = await begin()
      const [appenders, share] = [8, 60]
      const appendAll = async (appender: number) => {
        for (let n = 0; n < share; n += 1)
          await appendUntilAnswered(store, to(`s-${appender}`, n === 0 ? 'no stream' : BigInt(n - 1), newEvent()))
      }
      let isFinished = false
      const dropping = (async () => {
        for (let n = 0; !isFinished; n += 1) {
          server.dropSubscriptions()
          if (n % 20 === 7) await server.restart()
          await new Promise((resolve) => setTimeout(resolve, 15))
        }
      })()
      const tailed = eventsUntil(store, { batchSize }, appenders * share)
      await Promise.all(Array.from({ length: appenders }, (_, appender) => appendAll(appender)))
      const events = await tailed
      isFinished = true
      await dropping
      expect(events).toEqual(await collect(store.readAll()))
      expect(server.asked.get('subscribe')).toBeGreaterThan(3)
    })

    test('survives an outage of the server, and resumes where it was', async () => {
      const { server, store } = await begin()
      const [early, late] = [newEvents(2), newEvents(2)]
      await store.append(to('s', 'any', ...early))
      const received: Batch[] = []
      for await (const batch of store.subscribe({ signal: signal() })) {
        received.push(batch)
        if (received.flatMap(({ events }) => events).length === 4) break
        await server.restart(() => new Promise((resolve) => setTimeout(resolve, 100)))
        await appendUntilAnswered(store, to('s', 'any', ...late))
      }
      expect(idsOf(received.flatMap(({ events }) => events))).toEqual(idsOf([...early, ...late]))
    })

    test('applies backpressure to the server while its caller is busy', async () => {
      const { server, store } = await begin()
      const [count, text] = [2_000, 'x'.repeat(4_000)]
      for (let n = 0; n < count / 200; n += 1)
        await store.append(to(`s-${n}`, 'any', ...newEvents(200).map((event) => ({ ...event, data: { text } }))))
      const before = server.asked.get('sent') ?? 0
      const received: StoredEvent[] = []
      for await (const { events } of store.subscribe({ batchSize: 10, signal: signal() })) {
        if (received.length === 0) {
          let sent = -1
          await eventually('the server to wait', async () => {
            const last = sent
            sent = server.asked.get('sent') ?? 0
            await new Promise((resolve) => setTimeout(resolve, 100))
            return sent > before && sent === last
          })
          expect(sent - before).toBeLessThan(count / 2)
        }
        received.push(...events)
        if (received.length === count) break
      }
      expect(new Set(idsOf(received)).size).toBe(count)
    })

    test('ends at once when it is aborted during an outage of the server, and when the store is closed', async () => {
      const { server, store } = await begin()
      await server.stop()
      const controller = new AbortController()
      const pending = collect(store.subscribe({ signal: controller.signal }))
      controller.abort()
      expect(await pending).toEqual([])
      const other = collect(store.subscribe({ signal: new AbortController().signal }))
      await store.close()
      expect(await other).toEqual([])
      expect(await codeThrownBy(() => store.append(to('s', 'any', newEvent())))).toBe('DATABASE_UNAVAILABLE')
    })

    test('advances past events that do not pass the filter, also just before it goes live', async () => {
      const { store } = await begin()
      await store.append(to('s', 'any', newEvent('Wanted')))
      let goal = await store.head()
      let rounds = 0
      for await (const { position } of store.subscribe({ types: ['Wanted'], signal: signal() })) {
        if (position < goal) continue
        rounds += 1
        if (rounds === 20) break
        await store.append(to('s', 'any', newEvent('Unwanted')))
        goal = await store.head()
      }
      expect(rounds).toBe(20)
    })
  })

  describe('the server', () => {
    test('holds one log, also when many processes create it at once', async () => {
      const server = await startServer()
      const stores = await Promise.all(Array.from({ length: 5 }, () => open(server.url)))
      expect(new Set(stores.map(({ start }) => start)).size).toBe(1)
    })

    test('reads backwards from between two events as from the end of the first', async () => {
      const { server, store } = await begin()
      const events = newEvents(3)
      for (const event of events) await store.append(to('s', 'any', event))
      const { end = 0n } = server.log.streamOf('s')[1] ?? {}
      const digits = (part: bigint) => String(part).padStart(20, '0')
      const between = store.parsePosition(store.start.replace(/0{20}-0{20}$/, `${digits(end)}-${digits(0n)}`))
      const read = (range: AllRange) => collect(store.readAll({ after: between, ...range }))
      expect(idsOf(await read({ direction: 'backwards' }))).toEqual(idsOf(events.slice(0, 2)).reverse())
      expect(idsOf(await read({}))).toEqual(idsOf(events.slice(2)))
    })

    test('refuses a position within an event, which it never gave; beyond the end of its log it finds nothing', async () => {
      const { server, store } = await begin()
      await store.append(to('s', 'any', ...newEvents(2)))
      const at = (position: bigint) =>
        store.parsePosition(
          store.start.replace(/0{20}-0{20}$/, `${String(position).padStart(20, '0')}-${'0'.repeat(20)}`),
        )
      const within = at((server.log.streamOf('s')[0]?.position ?? 0n) + 1n)
      expect(await codeThrownBy(() => collect(store.readAll({ after: within })))).toBe('POSITION_FOREIGN')
      const signal = AbortSignal.timeout(10_000)
      expect(await codeThrownBy(() => collect(store.subscribe({ after: within, signal })))).toBe('POSITION_FOREIGN')
      expect(await collect(store.readAll({ after: at(900_000_000n) }))).toEqual([])
    })

    test.each([
      ['without our log, for a read-only caller', {}, { create: false }, 'LOG_NOT_FOUND'],
      ['that is stopped', { gone: true }, { openMs: 100 }, 'EVENT_STORE_UNREACHABLE'],
      ['with an invalid address', { url: 'esdb://' }, {}, 'CONFIG_INVALID'],
    ])('%s', async (_, { gone, url }: { gone?: boolean; url?: string }, options, code) => {
      const server = await startServer()
      if (gone) await server.stop()
      expect(await codeThrownBy(() => open(url ?? server.url, options))).toBe(code)
    })
  })
})
