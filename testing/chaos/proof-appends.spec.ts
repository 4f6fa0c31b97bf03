// What was written down is held against the log: each defect that a store could have is shown, and complained about.
import { describe, expect, test } from '@jest/globals'
import { Failure } from '../../domain/errors.ts'
import { createMemoryEventStore } from '../../infra/event-store/memory.ts'
import type { Append, EventStore, ExpectedRevision, Position, StoredEvent } from '../../infra/event-store/port.ts'
import { createRandom } from '../random.ts'
import type { Line } from './journal.ts'
import { examineAppends } from './proof-appends.ts'
import { nextAppends, rawEvent } from './raw-load.ts'
import { type Answer, createRecorder, type Recorder } from './recorder.ts'

/** Creates a writer whose journal lies in memory. */
const createWriter = (name: string) => {
  const lines: Line[] = []
  const journal = { write: async (line: Line) => void lines.push(line), close: async () => undefined }
  return { name, lines, recorder: createRecorder(journal, 0) }
}
type Writer = ReturnType<typeof createWriter>

const idOf = (number: number) => `${String(number).padStart(8, '0')}-0000-4000-8000-000000000000`
const append = (stream: string, expected: ExpectedRevision, ...numbers: number[]): Append => ({
  stream,
  expected,
  events: numbers.map((number) => rawEvent(idOf(number))),
})

const send = (recorder: Recorder, n: number, store: EventStore, appends: readonly Append[]) =>
  recorder.send(n, async (): Promise<Answer> => {
    const [first] = appends
    if (appends.length > 1 || !first) return store.appendToMany(appends)
    const answer = await store.append(first)
    return answer.outcome === 'appended' ? [answer] : answer
  })

const examine = async (
  writers: readonly Writer[],
  log: readonly StoredEvent[],
  store: Pick<EventStore, 'readStream'>,
) => {
  const journals = writers.map(({ name, lines }) => ({ writer: name, lines: linesOf(lines) }))
  const examiner = examineAppends(journals, store)
  for (const event of log) await examiner.examine(event)
  return { ...(await examiner.end()), counts: examiner.counts }
}
async function* linesOf(lines: readonly Line[]): AsyncGenerator<Line> {
  yield* lines
}

describe('a store that keeps its word', () => {
  test.each(Array.from({ length: 20 }, (_, seed) => seed))(
    'passes, also with conflicts, repetitions, lost answers and lives that end anywhere (seed %i)',
    async (seed) => {
      const store = createMemoryEventStore()
      const random = createRandom(seed)
      let made = 0
      let nowMs = 0
      const lives = async (writer: Writer) => {
        const revisions = new Map<string, bigint>()
        for (let step = 0; step < 60; step++) {
          nowMs += 10
          const newId = () => crypto.randomUUID().replace(/^.{8}/, String(++made).padStart(8, '0'))
          const appends = nextAppends({ random, writer: writer.name, toMany: true, revisions, newId, nowMs })
          const n = await writer.recorder.begin(appends)
          const fate = random()
          if (fate < 0.05) continue // killed before it was sent
          if (fate < 0.1) {
            await (appends.length > 1 ? store.appendToMany(appends) : store.append(appends[0] as Append))
            continue // killed before it got the answer
          }
          if (fate < 0.2) {
            const lose = async (): Promise<never> => {
              if (fate < 0.15) await send(createWriter('nobody').recorder, 0, store, appends)
              throw new Failure('DATABASE_UNAVAILABLE')
            }
            await writer.recorder.send(n, lose).catch(() => undefined)
          }
          const answer = await send(writer.recorder, n, store, appends)
          if ('outcome' in answer) continue
          for (const [index, { revision }] of answer.entries()) revisions.set(appends[index]?.stream ?? '', revision)
          if (random() < 0.1) await send(writer.recorder, await writer.recorder.begin(appends), store, appends)
        }
      }
      const writers = ['a', 'b', 'c'].map(createWriter)
      await Promise.all(writers.map(lives))
      const log = await Array.fromAsync(store.readAll())
      const { complaints, counts } = await examine(writers, log, store)
      expect(complaints).toEqual([])
      expect(counts.acknowledgedEvents).toBeLessThanOrEqual(log.length)
      expect(counts.acknowledgedEvents).toBeGreaterThan(log.length / 2)
      const { storedBefore, storedByRetry, refusedAtRetry, leftWhole, leftAbsent } = counts.unknown
      expect(storedBefore + storedByRetry + refusedAtRetry).toBeGreaterThan(0)
      expect(leftWhole + leftAbsent).toBeGreaterThan(0)
      expect(counts.appends).toBe(counts.acknowledged + counts.refused + leftWhole + leftAbsent)
    },
  )

  test('passes when two writers ask for the same events, and one gets the answer long after', async () => {
    const store = createMemoryEventStore()
    const [first, second] = [createWriter('first'), createWriter('second')]
    const shared = [append('s', 'any', 1, 2)]
    await send(first.recorder, await first.recorder.begin(shared), store, shared)
    for (let number = 10; number < 20; number++) {
      const other = [append('t', 'any', number)]
      await send(second.recorder, await second.recorder.begin(other), store, other)
    }
    await send(second.recorder, await second.recorder.begin(shared), store, shared)
    // Killed while it asked for one of them in other words: nothing of that is there, and nothing is half.
    const otherwise = { ...append('s', 'any', 1), events: [{ ...rawEvent(idOf(1)), type: 'Another' }] }
    await second.recorder.begin([otherwise])
    const { complaints } = await examine([first, second], await Array.fromAsync(store.readAll()), store)
    expect(complaints).toEqual([])
  })
})

describe('it is complained about', () => {
  /** Creates two acknowledged appends of one writer: 1, 2, 3 to `s`, then 4 to `t`. */
  const world = async () => {
    const store = createMemoryEventStore({ id: 'm' })
    const writer = createWriter('w')
    for (const one of [append('s', 'no stream', 1, 2, 3), append('t', 'any', 4)])
      await send(writer.recorder, await writer.recorder.begin([one]), store, [one])
    const log = await Array.fromAsync(store.readAll())
    const complaintsAt = async (changed: readonly StoredEvent[]) => (await examine([writer], changed, store)).complaints
    return { store, writer, log, complaintsAt }
  }
  const place = (number: number) => `memory-m-${String(number).padStart(20, '0')}` as Position

  test('not as it stands', async () => {
    const { log, complaintsAt } = await world()
    expect(await complaintsAt(log)).toEqual([])
  })

  test('an acknowledged append that is lost', async () => {
    const { log, complaintsAt } = await world()
    expect(await complaintsAt(log.slice(0, 3))).toEqual([
      `append 1 of w was acknowledged at ${place(4)}, and 0 of its 1 events are in the log`,
    ])
  })

  test('an acknowledged append of which one event is lost', async () => {
    const { log, complaintsAt } = await world()
    expect(await complaintsAt(log.filter(({ revision }) => revision !== 1n))).toEqual([
      `append 0 of w was acknowledged at ${place(3)}, and 2 of its 3 events are in the log`,
    ])
  })

  test('an event that is there twice', async () => {
    const { log, complaintsAt } = await world()
    const again = { ...log[0], revision: 3n, position: place(5) } as StoredEvent
    expect(await complaintsAt([...log, again])).toEqual([
      expect.stringMatching(/at revision 3 of s, position .*5, was not being appended then: it is doubled/),
    ])
    const atOnce = { ...log[0], revision: 1n, position: `${place(1)}+` } as StoredEvent
    expect(await complaintsAt([...log.slice(0, 1), atOnce, ...log.slice(1)])).toEqual([
      expect.stringContaining(`is there twice, first at ${place(1)}`),
    ])
  })

  test('an event that no writer appended, and one that is not as it was appended', async () => {
    const { log, complaintsAt } = await world()
    const stranger = { ...rawEvent(idOf(9)), stream: 'x', revision: 0n, position: place(5) }
    expect(await complaintsAt([...log, stranger])).toEqual([expect.stringContaining('is of no writer')])
    const altered = log.map((event, index) => (index === 3 ? { ...event, data: { number: 7 } } : event))
    expect((await complaintsAt(altered)).at(-1)).toMatch(/is not as it was appended$/)
    const moved = log.map((event, index) => (index === 3 ? { ...event, stream: 'u' } : event))
    expect((await complaintsAt(moved)).at(-1)).toMatch(/is not as it was appended$/)
  })

  test('an append that lies elsewhere than was answered', async () => {
    const { log, complaintsAt } = await world()
    const moved = log.map((event, index) => (index === 3 ? { ...event, revision: 8n } : event))
    expect(await complaintsAt(moved)).toEqual([
      `append 1 of w was acknowledged at revision 0 of t, position ${place(4)}, and lies at 8, ${place(4)}`,
    ])
  })

  test('an unacknowledged append that is half there, or with something in between', async () => {
    const { store, writer, log, complaintsAt } = await world()
    const unanswered = append('s', 'any', 5, 6, 7)
    await writer.recorder.begin([unanswered])
    expect(await complaintsAt(log)).toEqual([])
    await store.append(unanswered)
    const whole = await Array.fromAsync(store.readAll())
    expect(await complaintsAt(whole)).toEqual([])
    expect(await complaintsAt(whole.slice(0, 6))).toEqual(['append 2 of w, unanswered, is half there: 2 of 3 events'])
    const spread = whole.map((event, index) => (index === 6 ? { ...event, revision: 6n } : event))
    expect(await complaintsAt(spread)).toEqual(['append 2 of w, unanswered, lies at the revisions 3, 4, 6 of s'])
  })

  test('half of an append to several streams', async () => {
    const { store, writer, complaintsAt } = await world()
    const both = [append('s', 'any', 5), append('t', 'any', 6)]
    await writer.recorder.begin(both)
    await store.append(both[0] as Append)
    expect(await complaintsAt(await Array.fromAsync(store.readAll()))).toEqual([
      'append 2 of w, unanswered, is half there: 1 of 2 events',
    ])
  })

  test('an append that was answered with a conflict, and is there; before and after the log was read so far', async () => {
    for (const later of [0, 1]) {
      const { store, writer, complaintsAt } = await world()
      const lied = [append('s', 'any', 5)]
      const n = await writer.recorder.begin(lied)
      await store.append(lied[0] as Append)
      const other = [append('t', 'any', 8)]
      if (later) await send(writer.recorder, await writer.recorder.begin(other), store, other)
      await writer.recorder.send(n, async () => ({ outcome: 'conflict', stream: 's', actual: 2n }))
      if (!later) await send(writer.recorder, await writer.recorder.begin(other), store, other)
      expect(await complaintsAt(await Array.fromAsync(store.readAll()))).toEqual([
        later
          ? `append 2 of w was answered conflict on s, and ${idOf(5)} is in the log`
          : expect.stringContaining('was not being appended then'),
      ])
    }
  })

  test('a retry that was answered with a first append that does not exist', async () => {
    const { store, writer, complaintsAt } = await world()
    const lied = [append('s', 'any', 5)]
    const n = await writer.recorder.begin(lied)
    await writer.recorder.send(n, async () => [
      { outcome: 'appended', revision: 3n, position: place(2), repeated: true },
    ])
    expect(await complaintsAt(await Array.fromAsync(store.readAll()))).toEqual([
      'append 2 of w was acknowledged at revision 3 of s, and is not there',
    ])
  })

  test('an append below what had been acknowledged before it was begun', async () => {
    const { log, complaintsAt } = await world()
    const [a, b, c, d] = log as [StoredEvent, StoredEvent, StoredEvent, StoredEvent]
    const below = { ...d, position: `${place(2)}+` as Position }
    expect(await complaintsAt([a, b, below, c])).toEqual([
      expect.stringContaining('append 1 of w was acknowledged'),
      expect.stringMatching(/was not being appended then: .* or was put in below what was acknowledged before$/),
    ])
  })

  test('an answer without a request', async () => {
    const { store, writer, complaintsAt } = await world()
    writer.lines.push({ is: 'refused', n: 77, why: 'conflict' })
    expect(await complaintsAt(await Array.fromAsync(store.readAll()))).toEqual([
      'w was answered for append 77, which it had not begun',
    ])
  })
})
