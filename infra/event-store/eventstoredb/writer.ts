import { isDeepStrictEqual } from 'node:util'
import { Failure, isFailure } from '../../../domain/errors.ts'
import { createKeyedRunner } from '../../async/keyed-queue.ts'
import { sleep } from '../../async/sleep.ts'
import type { Appended, AppendOutcome, IdProblem, IdsKnown } from '../port.ts'
import { identityStream } from '../position.ts'
import type { CheckedAppend, CheckedEvent } from '../validation.ts'
import type { Connection } from './client.ts'
import { createDeadlines, type Turn } from './deadlines.ts'
import { damaged, notSent, storeUnavailable } from './errors.ts'
import { type ServerEvent, toOutgoing } from './events.ts'
import { idsPerStreamMax, type KnownIds, type StreamIds } from './known-ids.ts'
import type { LogPositions } from './position.ts'
import type { Reader } from './reader.ts'
import { createSettle } from './settling.ts'

const attemptsMax = 50
/** How often the ids of a stream are read until a revision is there that the server has returned. */
const readsMax = 30
const pauseMsMax = 50
/** How long the end waits for the answers to appends that were sent. */
const closeMsMax = 1_000

/** `first` is the revision of the first event when all are stored one after the other. */
type Verdict = 'unknown' | IdProblem | { readonly first: bigint }

/** Returns whether the ids of an append are in the stream already. */
const verdictOn = (ids: StreamIds | undefined, events: readonly CheckedEvent[]): Verdict => {
  const found = events.map(({ id }) => ids?.revisionOf.get(id))
  const presentRevisions = found.filter((revision) => revision !== undefined)
  const [first] = presentRevisions
  if (first === undefined) return 'unknown'
  if (presentRevisions.length < events.length) return 'partly known'
  if (presentRevisions.some((revision, index) => revision !== first + BigInt(index))) return 'known elsewhere'
  return { first }
}

const hasSameContent = (events: readonly CheckedEvent[], stored: readonly ServerEvent[]): boolean =>
  events.length === stored.length &&
  events.every(({ id, type, data }, index) => {
    const candidate = stored[index]
    return candidate?.id === id && candidate.type === type && isDeepStrictEqual(candidate.data, JSON.parse(data))
  })

type Behind = { readonly actual: bigint | undefined }

type Options = {
  readonly connection: Connection
  /** How long an append may take from when its caller began to wait, or since the server has answered one. */
  readonly settleMs: number
  readonly reader: Reader
  readonly positions: LogPositions
  readonly knownIds: KnownIds
}

export type Writer = { append(append: CheckedAppend): Promise<AppendOutcome>; close(): Promise<void> }

/** Begins the deadline of an append anew where the server has answered with events. Throws when the caller waits no longer. */
const goOn = (turn: Turn): void => {
  if (turn.isOver()) throw storeUnavailable(notSent)
  turn.goOn()
}

/** Creates the writing half of the store. Whatever a caller expects, the append to the server names an exact
 *  revision: only then are the ids that were compared all ids of the stream. An append whose events are in the stream
 *  already, from this or another process, cannot be written at that revision, whatever the server makes of their ids:
 *  those it has are drawn for each attempt (`toOutgoing`). So what the server answers as written is new, and need not
 *  be read back. */
export const createWriter = ({ connection, reader, positions, knownIds, settleMs }: Options): Writer => {
  const closing = new AbortController()
  const appendSettled = createSettle(connection)
  const deadlines = createDeadlines(settleMs, () =>
    storeUnavailable(`it is not known whether the events were written: no answer within ${settleMs} ms`),
  )
  /** When the server has last answered an append. One that waits behind others of its stream waits for the server only
   *  since then. */
  let answeredMs = 0
  const pending = new Set<Promise<unknown>>()
  /** One append at a time per stream in this process, in the order they came. */
  const inOrder = createKeyedRunner()

  /** Reads the ids of the events since the last read, or of the newest events the first time. Reads at least through
   *  `revision`, which the server has returned: it returns revisions a moment before their events can be read. Where
   *  the server waits for its followers, the moment may be long, and they may never come: then it resolves to what is
   *  there. */
  const refreshIds = async (stream: string, turn: Turn, revision = -1n): Promise<StreamIds | undefined> => {
    for (let attempt = 1; ; attempt += 1) {
      const ids = knownIds.get(stream)
      if (!ids) await readNewestIds(stream, turn)
      else
        for await (const page of reader.streamPages(stream, 'forwards', ids.through + 1n))
          if (page.length > 0) goOn(turn)
      const through = knownIds.get(stream)?.through ?? -1n
      if (through >= revision || attempt === readsMax) return knownIds.get(stream)
      await sleep(attempt, closing.signal)
    }
  }

  const readNewestIds = async (stream: string, turn: Turn): Promise<void> => {
    // Whole events would be as large as the stream.
    const newest: Pick<ServerEvent, 'id' | 'revision'>[] = []
    for await (const page of reader.streamPages(stream, 'backwards', 'end')) {
      if (page.length > 0) goOn(turn)
      for (const { id, revision } of page) newest.push({ id, revision })
      if (newest.length >= idsPerStreamMax) break
    }
    knownIds.begin(stream, newest.reverse())
  }

  const read = async (stream: string, first: bigint | 'end', count: number): Promise<readonly ServerEvent[]> => {
    const events: ServerEvent[] = []
    const direction = first === 'end' ? 'backwards' : 'forwards'
    for await (const page of reader.streamPages(stream, direction, first, count)) {
      events.push(...page)
      if (events.length >= count) break
    }
    return events.slice(0, count)
  }

  const toAppended = (event: Pick<ServerEvent, 'revision' | 'position'> | undefined, repeated: boolean): Appended => {
    if (!event?.position) throw storeUnavailable('the server returns no position for the events that were written')
    const { revision, position } = event
    return { outcome: 'appended', revision, position: positions.of(position), repeated }
  }

  /** Returns the outcome of the first time, when the events that are stored under these ids are those of the append. */
  const repeatedOutcome = ({ stream, events }: CheckedAppend, stored: readonly ServerEvent[]): Appended | IdsKnown => {
    if (!hasSameContent(events, stored)) return { outcome: 'ids known', stream, problem: 'other content' }
    return toAppended(stored.at(-1), true)
  }

  /** Resolves to the revision to ask for; to what the stream is at when that is before what is expected: the append must
   *  not be sent then, since another process may write these very events up to there in the meantime. */
  const expectedOf = async (
    { stream, expected }: CheckedAppend,
    turn: Turn,
  ): Promise<bigint | 'no stream' | Behind> => {
    if (expected === 'no stream') return expected
    const revisionNeeded = typeof expected === 'bigint' ? expected : -1n
    const ids = knownIds.get(stream)
    const { through } =
      ids && ids.through >= revisionNeeded ? ids : ((await refreshIds(stream, turn)) ?? { through: -1n })
    const actual = through >= 0n ? through : undefined
    if (typeof expected === 'bigint') return through >= expected ? expected : { actual }
    return actual ?? (expected === 'any' ? 'no stream' : { actual })
  }

  /** Resolves to the outcome of an append at a revision that the stream has left behind. Which events followed then, the
   *  stream itself shows, also behind the ids that are kept. */
  const leftBehind = async (append: CheckedAppend, actual: bigint | undefined): Promise<AppendOutcome> => {
    const { stream, expected, events } = append
    const first = typeof expected === 'bigint' ? expected + 1n : 0n
    const { from = first } = knownIds.get(stream) ?? {}
    if (first < from) {
      const stored = await read(stream, first, events.length)
      if (events.every(({ id }, index) => stored[index]?.id === id)) return repeatedOutcome(append, stored)
    }
    return { outcome: 'conflict', stream, actual }
  }

  const appendExactly = async (append: CheckedAppend, turn: Turn): Promise<AppendOutcome> => {
    const { stream, expected, events } = append
    for (let attempt = 1; attempt <= attemptsMax; attempt += 1) {
      const revision = await expectedOf(append, turn)
      const verdict = verdictOn(knownIds.get(stream), events)
      if (typeof verdict === 'object') return repeatedOutcome(append, await read(stream, verdict.first, events.length))
      if (verdict !== 'unknown') return { outcome: 'ids known', stream, problem: verdict }
      if (typeof revision === 'object') return { outcome: 'conflict', stream, actual: revision.actual }

      const written = await appendSettled(stream, revision, toOutgoing(events), turn)
      if (written.outcome === 'written') {
        const first = written.revision - BigInt(events.length - 1)
        if (revision === 'no stream' ? first !== 0n : first !== revision + 1n)
          throw damaged(stream, `it was deleted: the first new event has revision ${first}`)
        knownIds.add(
          stream,
          events.map((event, index) => ({ id: event.id, revision: first + BigInt(index) })),
        )
        const position = written.position ?? (await read(stream, written.revision, 1))[0]?.position
        return toAppended({ revision: written.revision, position }, false)
      }
      // Another process wrote in between; it may have written this very append.
      const ids = written.actual === undefined ? undefined : await refreshIds(stream, turn, written.actual)
      if (written.actual !== undefined && (ids?.through ?? -1n) < written.actual) {
        // They are not replicated yet, or have expired: of a stream that is read without any, this throws that.
        await read(stream, 'end', 1)
        continue
      }
      const verdictNow = verdictOn(ids, events)
      if (verdictNow === 'unknown' && expected !== 'any' && expected !== 'stream exists')
        return leftBehind(append, written.actual)
      if (verdictNow === 'unknown' && attempt > 3) await sleep(Math.random() * pauseMsMax, closing.signal)
    }
    throw new Failure('CONFLICT_UNRESOLVED', { stream })
  }

  return {
    append: (append) => {
      const { stream, events } = append
      if (closing.signal.aborted) throw storeUnavailable('the event store is closed')
      if (stream.startsWith('$') || stream === identityStream || events.some(({ type }) => type.startsWith('$')))
        throw new Failure('EVENT_INVALID', { stream, reason: 'the event store reserves this name' })
      const enteredMs = performance.now()
      const appending = inOrder(stream, async () => {
        if (closing.signal.aborted) throw storeUnavailable('the event store is closed')
        let isAnswered = true
        try {
          return await deadlines.within(Math.max(enteredMs, answeredMs), (turn) => appendExactly(append, turn))
        } catch (error) {
          isAnswered = !isFailure(error, 'DATABASE_UNAVAILABLE')
          throw error
        } finally {
          if (isAnswered) answeredMs = performance.now()
        }
      })
      pending.add(appending)
      const done = () => pending.delete(appending)
      appending.then(done, done)
      return appending
    },
    close: async () => {
      closing.abort()
      const tooLate = setTimeout(deadlines.close, closeMsMax)
      await Promise.allSettled(pending)
      clearTimeout(tooLate)
    },
  }
}
