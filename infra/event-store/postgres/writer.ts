import { Failure, isFailure } from '../../../domain/errors.ts'
import { createBoundedMap, registerBound } from '../../async/bounded.ts'
import { createKeyedQueue } from '../../async/keyed-queue.ts'
import type { Appended, AppendToManyOutcome, Conflict, IdProblem } from '../port.ts'
import type { Positions } from '../position.ts'
import { type CheckedAppend, charactersOf } from '../validation.ts'
import {
  type AppendRequest,
  areExpected,
  expectedCode,
  parseVerdicts,
  type Verdict,
  valuesExpected,
  valuesOf,
} from './batch.ts'
import type { KnownInPostgres } from './known.ts'
import type { Committed } from './own-events.ts'

/** While one connection waits for its commit to reach the disk, the other prepares the next batch. More would only
 *  wait for the lock. */
const writersMax = 2
/** With fewer pending requests, one batch of all is faster than two halves: then the commit is most of the cost of a
 *  batch. */
const secondWriterFrom = 150
const batchEventsMax = 2_000
const batchCharactersMax = 8 * 1024 * 1024
/** How many batches skip the optimistic attempt after a conflict or repetition: more are likely to follow, and a
 *  failed attempt leaves dead rows behind. */
const pessimisticBatches = 10

const APPEND_EXPECTED = 'select log.append_expected($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)::text'
const APPEND = 'select log.append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, true) where'

const revisionsBound = registerBound({
  name: 'revisions appended',
  holds:
    'The revision of each stream that this process has appended to in PostgreSQL: no look is needed to see it there.',
  whenFull: 'evicts the least recently used',
  entriesMax: 10_000,
})

/** Returns the key of a stream, which is no id of an event: those have the length of a UUID. */
const keyOfStream = (stream: string): string => (stream.length < uuidCharacters ? stream : `stream ${stream}`)
const uuidCharacters = 36

export type Writer = {
  /** Stores all of the appends or none. Throws EVENT_INVALID, and DATABASE_UNAVAILABLE when the outcome is unknown. */
  append(appends: readonly CheckedAppend[]): Promise<AppendToManyOutcome>
  /** Accepts no more requests, and resolves when every accepted request has its outcome. */
  close(): Promise<void>
}

const idProblems: readonly string[] = ['partly known', 'known elsewhere', 'other content'] satisfies IdProblem[]
const isIdProblem = (verdict: string): verdict is IdProblem => idProblems.includes(verdict)

const missing: Verdict = { verdict: 'missing', revision: -1n, position: undefined }

const outcomeOf = (
  { appends }: AppendRequest,
  verdicts: readonly Verdict[],
  positions: Positions,
): AppendToManyOutcome => {
  const appended: Appended[] = []
  let conflict: Conflict | undefined
  for (const [index, { stream }] of appends.entries()) {
    const { verdict, revision, position: number } = verdicts[index] ?? missing
    if (isIdProblem(verdict)) return { outcome: 'ids known', stream, problem: verdict }
    if (verdict === 'conflict')
      conflict ??= { outcome: 'conflict', stream, actual: revision < 0n ? undefined : revision }
    else if (number !== undefined)
      appended.push({ outcome: 'appended', revision, position: positions.of(number), repeated: verdict === 'repeated' })
  }
  return conflict ?? appended
}

/** Creates the writing half of the store, with group commit: the requests of one turn of the event loop, and those
 *  that came while the writers were busy, go into one statement and one commit. With many pending requests, a batch
 *  takes about half of them, so that both writers have work. Requests that share a stream or an event id run one
 *  after the other, in the order they came. After each commit `onCommitted` receives the position up to which this
 *  process has written, and returns what was new in it. */
export const createWriter = ({
  known,
  positions,
  onCommitted,
}: {
  readonly known: KnownInPostgres
  readonly positions: Positions
  readonly onCommitted: (position: bigint, committed: () => readonly Committed[]) => void
}): Writer => {
  const queue = createKeyedQueue<AppendRequest>()
  const revisions = createBoundedMap<bigint>(revisionsBound)
  const isThere = (stream: string, revision: bigint) => (revisions.get(stream) ?? -1n) >= revision
  let ready: AppendRequest[] = []
  let running = 0
  let pending = 0
  let scheduled = false
  let pessimisticBatchesLeft = 0
  let onDrained: (() => void) | undefined
  let closed: Promise<void> | undefined

  /** Resolves to undefined when one of them is not at its expected revision, or has known ids: then nothing was written. */
  const appendExpected = async (requests: readonly AppendRequest[]): Promise<AppendToManyOutcome[] | undefined> => {
    const [row] = await known.query<[string | null]>(
      'eventStore.append',
      APPEND_EXPECTED,
      valuesExpected(requests, known, isThere),
      { rowMode: 'array', name: 'event_store_append_expected' },
    )
    if (row?.[0] == null) return undefined
    const before = BigInt(row[0])
    const last = requests.at(-1)?.appends.at(-1)
    let position = before
    const outcomes = requests.map(({ appends }) =>
      appends.map(({ stream, expected, events }): Appended => {
        const count = BigInt(events.length)
        const revision = expectedCode(expected) + count
        position += count
        revisions.set(stream, revision)
        return { outcome: 'appended', revision, position: positions.of(position), repeated: false }
      }),
    )
    if (last) acknowledge(last, expectedCode(last.expected) + BigInt(last.events.length), position)
    onCommitted(position, () => {
      let at = before
      return requests.flatMap(({ appends }) =>
        appends.map((append) => {
          const count = BigInt(append.events.length)
          at += count
          return { append, position: at, revision: expectedCode(append.expected) + count }
        }),
      )
    })
    return outcomes
  }

  const acknowledge = ({ stream, events }: CheckedAppend, revision: bigint, position: bigint): void => {
    const last = events.at(-1)
    if (last) known.add({ stream, id: last.id, revision, position: positions.of(position) })
  }

  /** Resolves to the outcome of each. */
  const run = async (requests: readonly AppendRequest[]): Promise<AppendToManyOutcome[]> => {
    const isPessimistic = pessimisticBatchesLeft > 0
    if (isPessimistic) pessimisticBatchesLeft -= 1
    const attempt = !isPessimistic && areExpected(requests) ? await appendExpected(requests) : undefined
    if (attempt) return attempt
    const values = valuesOf(requests)
    const text = `${APPEND} ${known.condition((value) => `$${values.push(value)}`)}`
    const [row] = await known.query<[string]>('eventStore.append', text, values, {
      rowMode: 'array',
      name: known.named('event_store_append_batch'),
    })
    const verdicts = parseVerdicts(row?.[0] ?? '')
    if (verdicts.some(({ verdict }) => verdict !== 'appended')) pessimisticBatchesLeft = pessimisticBatches
    let first = 0
    let head = 0n
    const committed: Committed[] = []
    const outcomes = requests.map((request) => {
      for (const [index, append] of request.appends.entries()) {
        const { verdict, revision, position } = verdicts[first + index] ?? missing
        if (position === undefined) continue
        if (verdict === 'appended') committed.push({ append, position, revision })
        acknowledge(append, revision, position)
        if (position > head) head = position
      }
      const outcome = outcomeOf(request, verdicts.slice(first, first + request.appends.length), positions)
      first += request.appends.length
      return outcome
    })
    if (head > 0n) onCommitted(head, () => committed)
    return outcomes
  }

  /** Resolves to a function that answers the callers. */
  const runBatch = async (requests: readonly AppendRequest[]): Promise<() => void> => {
    try {
      const outcomes = await run(requests)
      return () => {
        for (const [index, request] of requests.entries()) request.resolve(outcomes[index] ?? [])
      }
    } catch (error) {
      const answers: (() => void)[] = []
      // One request is poison, and nothing was written: run each on its own, so that only the poison one is refused.
      if (requests.length === 1 || isFailure(error, 'DATABASE_UNAVAILABLE') || isFailure(error, 'DATABASE_FULL'))
        for (const request of requests) answers.push(() => request.reject(error))
      else for (const request of requests) answers.push(await runBatch([request]))
      return () => {
        for (const answer of answers) answer()
      }
    }
  }

  const writersAllowed = () => (pending < secondWriterFrom ? 1 : writersMax)

  const takeBatch = (): AppendRequest[] => {
    const share = Math.ceil(pending / writersAllowed())
    let events = 0
    let characters = 0
    let count = 0
    for (const request of ready) {
      events += request.events
      characters += request.characters
      if (count > 0 && (count >= share || events > batchEventsMax || characters > batchCharactersMax)) break
      count += 1
    }
    const batch = ready.slice(0, count)
    ready = ready.slice(count)
    return batch
  }

  const flush = () => {
    scheduled = false
    while (running < writersAllowed() && ready.length > 0) {
      const batch = takeBatch()
      running += 1
      void runBatch(batch).then((answer) => {
        running -= 1
        pending -= batch.length
        // First: what the callers append next shall find its streams free.
        for (const request of batch) ready.push(...queue.leave(request))
        answer()
        if (pending === 0) onDrained?.()
        schedule()
      })
    }
  }

  const schedule = () => {
    if (scheduled) return
    scheduled = true
    setImmediate(flush)
  }

  return {
    append: (appends) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(new Failure('DATABASE_UNAVAILABLE', { reason: 'the event store is closed' }))
        const request: AppendRequest = {
          appends,
          keys: appends.flatMap(({ stream, events }) => [keyOfStream(stream), ...events.map(({ id }) => id)]),
          events: appends.reduce((sum, { events }) => sum + events.length, 0),
          characters: appends.reduce((sum, append) => sum + charactersOf(append), 0),
          resolve,
          reject,
        }
        pending += 1
        if (queue.enter(request)) ready.push(request)
        schedule()
      }),
    close: () => {
      closed ??= new Promise((resolve) => {
        if (pending === 0) resolve()
        else onDrained = resolve
      })
      return closed
    },
  }
}
