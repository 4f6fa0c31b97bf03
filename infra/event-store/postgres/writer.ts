import { Failure, isFailure } from '../../../domain/errors.ts'
import { createKeyedQueue } from '../../async/keyed-queue.ts'
import type { Appended, AppendToManyOutcome, Conflict, ExpectedRevision, IdProblem } from '../port.ts'
import type { Positions } from '../position.ts'
import { type CheckedAppend, type CheckedEvent, charactersOf } from '../validation.ts'
import { bigintArray, intArray, jsonArray, textArray, uuidArray } from './binary-array.ts'
import type { KnownInPostgres } from './known.ts'
import type { Committed } from './own-events.ts'

/** While one connection waits for its commit to reach the disk, the other prepares the next batch. More would only
 *  wait for the lock. */
const writersMax = 2
/** With fewer pending requests, one batch of all is faster than two halves: then the commit is most of the cost of a
 *  batch. */
const secondWriterFrom = 24
const batchEventsMax = 2_000
const batchCharactersMax = 8 * 1024 * 1024
/** How many batches skip the optimistic attempt after a conflict or repetition: more are likely to follow, and a
 *  failed attempt leaves dead rows behind. */
const pessimisticBatches = 10

const APPEND = 'select log.append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) where'

/** The result of one append in a batch. `position` is undefined when nothing is stored. */
type Verdict = { readonly verdict: string; readonly revision: bigint; readonly position: bigint | undefined }

/** One call of `append` or `appendToMany`: its appends are stored all or nothing, and its caller awaits their
 *  outcome. `keys` are its streams and event ids: no other request may use them at the same time. */
type AppendRequest = {
  readonly appends: readonly CheckedAppend[]
  readonly keys: readonly string[]
  readonly events: number
  readonly characters: number
  readonly resolve: (outcome: AppendToManyOutcome) => void
  readonly reject: (error: unknown) => void
}

export type Writer = {
  /** Stores all of the appends or none. Throws EVENT_INVALID, and DATABASE_UNAVAILABLE when the outcome is unknown. */
  append(appends: readonly CheckedAppend[]): Promise<AppendToManyOutcome>
  /** Accepts no more requests, and resolves when every accepted request has its outcome. */
  close(): Promise<void>
}

const expectedCode = (expected: ExpectedRevision): bigint => {
  switch (expected) {
    case 'no stream':
      return -1n
    case 'stream exists':
      return -2n
    case 'any':
      return -3n
    default:
      return expected
  }
}

/** Returns the bind variables of log.append_batch. Its `unit_of` is the request of each append; its `careful` skips the
 *  optimistic attempt. */
const valuesOf = (requests: readonly AppendRequest[], isPessimistic: boolean): readonly unknown[] => {
  const appends: CheckedAppend[] = []
  const requestOf: number[] = []
  const firstOf = [1]
  const appendOf: number[] = []
  const events: CheckedEvent[] = []
  for (const [index, request] of requests.entries())
    for (const append of request.appends) {
      appends.push(append)
      requestOf.push(index + 1)
      for (const event of append.events) {
        events.push(event)
        appendOf.push(appends.length)
      }
      firstOf.push(events.length + 1)
    }
  return [
    textArray(appends.map(({ stream }) => stream)),
    bigintArray(appends.map(({ expected }) => expectedCode(expected))),
    intArray(requestOf),
    intArray(firstOf),
    intArray(appendOf),
    uuidArray(events.map(({ id }) => id)),
    textArray(events.map(({ type }) => type)),
    jsonArray(events.map(({ data }) => data)),
    jsonArray(events.map(({ metadata }) => metadata)),
    isPessimistic,
  ]
}

/** Parses the result of log.append_batch: only a position when the optimistic attempt succeeded, else a line per
 *  append. */
const parseVerdicts = (
  requests: readonly AppendRequest[],
  result: string,
): { readonly isOptimistic: boolean; readonly verdicts: Verdict[] } => {
  const isOptimistic = /^\d+$/.test(result)
  if (!isOptimistic)
    return {
      isOptimistic,
      verdicts: result.split('\n').map((line) => {
        const [verdict = '', revision = '', position = ''] = line.split(':')
        return { verdict, revision: BigInt(revision), position: position === '' ? undefined : BigInt(position) }
      }),
    }
  let position = BigInt(result)
  const verdicts: Verdict[] = []
  for (const { appends } of requests)
    for (const { expected, events } of appends) {
      const count = BigInt(events.length)
      position += count
      verdicts.push({ verdict: 'appended', revision: expectedCode(expected) + count, position })
    }
  return { isOptimistic, verdicts }
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
 *  process has written, and what was new in it. */
export const createWriter = ({
  known,
  positions,
  onCommitted,
}: {
  readonly known: KnownInPostgres
  readonly positions: Positions
  readonly onCommitted: (position: bigint, committed: readonly Committed[]) => void
}): Writer => {
  const queue = createKeyedQueue<AppendRequest>()
  let ready: AppendRequest[] = []
  let running = 0
  let pending = 0
  let scheduled = false
  let pessimisticBatchesLeft = 0
  let onDrained: (() => void) | undefined
  let closed: Promise<void> | undefined

  const run = async (requests: readonly AppendRequest[]): Promise<void> => {
    const isPessimistic = pessimisticBatchesLeft > 0
    if (isPessimistic) pessimisticBatchesLeft -= 1
    const values = [...valuesOf(requests, isPessimistic)]
    const text = `${APPEND} ${known.condition((value) => `$${values.push(value)}`)}`
    const [row] = await known.query<[string]>('eventStore.append', text, values, {
      rowMode: 'array',
      name: known.named('event_store_append_batch'),
    })
    const { isOptimistic, verdicts } = parseVerdicts(requests, row?.[0] ?? '')
    if (!isOptimistic && verdicts.some(({ verdict }) => verdict !== 'appended'))
      pessimisticBatchesLeft = pessimisticBatches
    let first = 0
    const committed: Committed[] = []
    for (const request of requests) {
      for (const [index, append] of request.appends.entries()) {
        const { verdict, revision, position } = verdicts[first + index] ?? missing
        if (verdict === 'appended' && position !== undefined) committed.push({ append, position, revision })
      }
      const outcome = outcomeOf(request, verdicts.slice(first, first + request.appends.length), positions)
      first += request.appends.length
      request.resolve(outcome)
    }
    let head = 0n
    for (const { position } of verdicts) if (position !== undefined && position > head) head = position
    if (head > 0n) onCommitted(head, committed)
  }

  const runBatch = async (requests: readonly AppendRequest[]): Promise<void> => {
    try {
      await run(requests)
    } catch (error) {
      // One request is poison, and nothing was written: run each on its own, so that only the poison one is refused.
      if (requests.length === 1 || isFailure(error, 'DATABASE_UNAVAILABLE'))
        for (const request of requests) request.reject(error)
      else for (const request of requests) await runBatch([request])
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
      void runBatch(batch).then(() => {
        running -= 1
        pending -= batch.length
        for (const request of batch) ready.push(...queue.leave(request))
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
          // An event id contains no space, so it never equals the key of a stream.
          keys: appends.flatMap(({ stream, events }) => [`stream ${stream}`, ...events.map(({ id }) => id)]),
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
