import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { Failure } from '../../../domain/errors.ts'
import { createKeyedQueue, type Keyed } from '../../async/keyed-queue.ts'
import { createSignal } from '../../async/signal.ts'
import type { Appended, Conflict, IdProblem, IdsKnown } from '../port.ts'
import type { CheckedAppend, CheckedEvent } from '../validation.ts'
import type { Connection } from './client.ts'
import { storeUnavailable } from './errors.ts'
import { attemptOf, identityStream, type ServerEvent, toOutgoing } from './events.ts'
import { idsPerStreamMax, type KnownIds, type StreamIds } from './known-ids.ts'
import type { LogPositions } from './position.ts'
import type { Reader } from './reader.ts'

const attemptsMax = 50
const pauseMsMax = 50

type Verdict = 'unknown' | IdProblem | { readonly last: bigint }

/** Whether the ids of an append are in the stream already: `last` is the revision of the last one when they are all there, one
 *  behind the other. */
const verdictOn = (ids: StreamIds | undefined, events: readonly CheckedEvent[]): Verdict => {
  const found = events.map(({ id }) => ids?.revisionOf.get(id))
  const there = found.filter((revision) => revision !== undefined)
  const [first] = there
  if (first === undefined) return 'unknown'
  if (there.length < events.length) return 'partly known'
  if (there.some((revision, index) => revision !== first + BigInt(index))) return 'known elsewhere'
  return { last: first + BigInt(events.length - 1) }
}

const sameContent = (events: readonly CheckedEvent[], stored: readonly ServerEvent[]): boolean =>
  events.length === stored.length &&
  events.every(({ id, type, data }, index) => {
    const there = stored[index]
    return there?.id === id && there.type === type && isDeepStrictEqual(there.data, JSON.parse(data))
  })

type Options = {
  readonly connection: Connection
  readonly reader: Reader
  readonly positions: LogPositions
  readonly known: KnownIds
}

export type Writer = { append(append: CheckedAppend): Promise<Appended | Conflict | IdsKnown>; close(): Promise<void> }

/** The writing half of the store. Whatever a caller expects, the server is asked for an exact revision: only there does it
 *  know a repetition for certain (elsewhere it looks into a cache that it loses when it restarts), and only so are the ids
 *  that were looked at all there are. */
export const createWriter = ({ connection, reader, positions, known }: Options): Writer => {
  const bell = createSignal()
  const closing = new AbortController()
  const pending = new Set<Promise<unknown>>()

  /** Looks at what has come since, or, for the first time, at the newest. At least through `revision`, which the server has told: it
   *  knows of events a moment before they can be read. */
  const catchUp = async (stream: string, revision = -1n): Promise<StreamIds | undefined> => {
    for (let attempt = 1; ; attempt += 1) {
      const ids = known.get(stream)
      if (ids) await Array.fromAsync(reader.pages(stream, 'forwards', ids.through + 1n), ({ length }) => length)
      else await lookBack(stream)
      const through = known.get(stream)?.through ?? -1n
      if (through >= revision) return known.get(stream)
      if (attempt === attemptsMax) throw storeUnavailable('what was written cannot be read')
      await bell.wait({ ms: attempt, signal: closing.signal })
    }
  }

  const lookBack = async (stream: string): Promise<void> => {
    const newest: ServerEvent[] = []
    for await (const page of reader.pages(stream, 'backwards', 'end')) {
      newest.push(...page)
      if (newest.length >= idsPerStreamMax) break
    }
    known.begin(stream, newest.reverse())
  }

  const read = async (stream: string, first: bigint, count: number): Promise<readonly ServerEvent[]> => {
    const events: ServerEvent[] = []
    for await (const page of reader.pages(stream, 'forwards', first, count)) {
      events.push(...page)
      if (events.length >= count) break
    }
    return events.slice(0, count)
  }

  const answer = (event: ServerEvent | undefined, repeated: boolean): Appended => {
    if (!event?.position) throw storeUnavailable('the server gives no position of what was written')
    const { revision, position } = event
    return { outcome: 'appended', revision, position: positions.of(position), repeated }
  }

  /** The first answer, when what is stored up to this revision is what was asked. */
  const repetition = async ({ stream, events }: CheckedAppend, last: bigint): Promise<Appended | IdsKnown> => {
    const stored = await read(stream, last - BigInt(events.length - 1), events.length)
    if (!sameContent(events, stored)) return { outcome: 'ids known', stream, problem: 'other content' }
    return answer(stored.at(-1), true)
  }

  /** What is expected, as a revision; undefined when the stream does not exist and should. */
  const expectedOf = async ({ stream, expected }: CheckedAppend): Promise<bigint | 'no stream' | undefined> => {
    if (expected === 'no stream') return expected
    const wanted = typeof expected === 'bigint' ? expected : -1n
    const ids = known.get(stream)
    const { through } = ids && ids.through >= wanted ? ids : ((await catchUp(stream)) ?? { through: -1n })
    if (typeof expected === 'bigint') return expected
    if (through >= 0n) return through
    return expected === 'any' ? 'no stream' : undefined
  }

  const appendExactly = async (append: CheckedAppend): Promise<Appended | Conflict | IdsKnown> => {
    const { stream, expected, events } = append
    for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
      const revision = await expectedOf(append)
      const verdict = verdictOn(known.get(stream), events)
      if (typeof verdict === 'object') return repetition(append, verdict.last)
      if (verdict !== 'unknown') return { outcome: 'ids known', stream, problem: verdict }
      if (revision === undefined) return { outcome: 'conflict', stream, actual: undefined }

      const id = randomUUID()
      const written = await connection.append(
        stream,
        revision,
        events.map((event) => toOutgoing(event, id)),
      )
      if (written.outcome === 'written') {
        const [last] = await read(stream, written.revision, 1)
        if (last && attemptOf(last) !== id) return repetition(append, written.revision)
        const first = written.revision - BigInt(events.length - 1)
        known.add(
          stream,
          events.map((event, index) => ({ id: event.id, revision: first + BigInt(index) })),
        )
        return answer(last, false)
      }
      // Someone else wrote in between; it may have been this very append.
      const now = verdictOn(written.actual === undefined ? undefined : await catchUp(stream, written.actual), events)
      if (now === 'unknown' && expected !== 'any' && expected !== 'stream exists')
        return { outcome: 'conflict', stream, actual: written.actual }
      if (now === 'unknown' && attempt > 3) await bell.wait({ ms: Math.random() * pauseMsMax, signal: closing.signal })
    }
    throw new Failure('CONFLICT_UNRESOLVED', { stream })
  }

  type Waiting = Keyed & { readonly begin: () => void }
  const turns = createKeyedQueue<Waiting>()

  /** One append at a time for each stream of this process, in the order they came. */
  const inTurn = async <Answer>(stream: string, work: () => Promise<Answer>): Promise<Answer> => {
    const started = Promise.withResolvers<void>()
    const turn: Waiting = { keys: [stream], begin: started.resolve }
    if (turns.enter(turn)) turn.begin()
    await started.promise
    try {
      return await work()
    } finally {
      for (const next of turns.leave(turn)) next.begin()
    }
  }

  return {
    append: (append) => {
      const { stream, events } = append
      if (closing.signal.aborted) throw storeUnavailable('the event store is closed')
      if (stream.startsWith('$') || stream === identityStream || events.some(({ type }) => type.startsWith('$')))
        throw new Failure('EVENT_INVALID', { stream, reason: 'the event store keeps this name for itself' })
      const appending = inTurn(stream, () => appendExactly(append))
      pending.add(appending)
      const done = () => pending.delete(appending)
      appending.then(done, done)
      return appending
    },
    close: async () => {
      closing.abort()
      await Promise.allSettled(pending)
    },
  }
}
