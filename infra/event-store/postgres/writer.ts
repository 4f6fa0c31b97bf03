import { Failure } from '../../../domain/errors.ts'
import { createKeyedQueue } from '../../async/keyed-queue.ts'
import type { Query } from '../../postgres.ts'
import type { Appended, Conflict, ExpectedRevision, IdProblem, IdsKnown } from '../port.ts'
import type { Positions } from '../position.ts'
import { type CheckedAppend, type CheckedEvent, isUnavailable, weightOf } from '../validation.ts'
import { bigintArray, intArray, jsonArray, textArray, uuidArray } from './binary-array.ts'

/** While one connection waits for its commit to reach the disk, the other prepares the next batch. More only queue up at the
 *  lock. */
const writersMax = 2
/** With fewer, one batch of all is faster than two halves: what a batch costs is mostly its commit then. */
const secondWriterFrom = 24
const batchEventsMax = 2_000
const batchCharactersMax = 8 * 1024 * 1024
/** Where there was one conflict or repetition there will be more, and an attempt in vain leaves dead rows behind. */
const carefulBatches = 10

const APPEND = 'select log.append_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)'

type Answer = readonly Appended[] | Conflict | IdsKnown
/** Of one append. `at` is undefined where nothing is stored. */
type Outcome = { readonly verdict: string; readonly revision: bigint; readonly at: bigint | undefined }

/** What stands or falls together, and who waits for it. */
type Unit = {
  readonly appends: readonly CheckedAppend[]
  readonly keys: readonly string[]
  readonly events: number
  readonly characters: number
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: unknown) => void
}

export type Writer = {
  /** Throws EVENT_INVALID, and DATABASE_UNAVAILABLE when the outcome is unknown. */
  append(appends: readonly CheckedAppend[]): Promise<Answer>
  /** Takes no more, and resolves when all that was taken has its answer. */
  close(): Promise<void>
}

const codeOf = (expected: ExpectedRevision): bigint => {
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

/** The bind variables of log.append_batch. */
const valuesOf = (units: readonly Unit[], careful: boolean): readonly unknown[] => {
  const appends: CheckedAppend[] = []
  const unitOf: number[] = []
  const firstOf = [1]
  const appendOf: number[] = []
  const events: CheckedEvent[] = []
  for (const [index, unit] of units.entries())
    for (const append of unit.appends) {
      appends.push(append)
      unitOf.push(index + 1)
      for (const event of append.events) {
        events.push(event)
        appendOf.push(appends.length)
      }
      firstOf.push(events.length + 1)
    }
  return [
    textArray(appends.map(({ stream }) => stream)),
    bigintArray(appends.map(({ expected }) => codeOf(expected))),
    intArray(unitOf),
    intArray(firstOf),
    intArray(appendOf),
    uuidArray(events.map(({ id }) => id)),
    textArray(events.map(({ type }) => type)),
    jsonArray(events.map(({ data }) => data)),
    jsonArray(events.map(({ metadata }) => metadata)),
    careful,
  ]
}

/** What log.append_batch says: a bare position when everything went as expected, or a line per append. */
const outcomesOf = (
  units: readonly Unit[],
  said: string,
): { readonly plain: boolean; readonly outcomes: Outcome[] } => {
  const plain = /^\d+$/.test(said)
  if (!plain)
    return {
      plain,
      outcomes: said.split('\n').map((line) => {
        const [verdict = '', revision = '', at = ''] = line.split(':')
        return { verdict, revision: BigInt(revision), at: at === '' ? undefined : BigInt(at) }
      }),
    }
  let at = BigInt(said)
  const outcomes: Outcome[] = []
  for (const { appends } of units)
    for (const { expected, events } of appends) {
      const count = BigInt(events.length)
      at += count
      outcomes.push({ verdict: 'appended', revision: codeOf(expected) + count, at })
    }
  return { plain, outcomes }
}

const idProblems: readonly string[] = ['partly known', 'known elsewhere', 'other content'] satisfies IdProblem[]
const isIdProblem = (verdict: string): verdict is IdProblem => idProblems.includes(verdict)

const answerOf = ({ appends }: Unit, outcomes: readonly Outcome[], positions: Positions): Answer => {
  const appended: Appended[] = []
  let conflict: Conflict | undefined
  for (const [index, { stream }] of appends.entries()) {
    const { verdict, revision, at } = outcomes[index] ?? { verdict: 'missing', revision: -1n, at: undefined }
    if (isIdProblem(verdict)) return { outcome: 'ids known', stream, problem: verdict }
    if (verdict === 'conflict')
      conflict ??= { outcome: 'conflict', stream, actual: revision < 0n ? undefined : revision }
    else if (at !== undefined)
      appended.push({ outcome: 'appended', revision, position: positions.of(at), repeated: verdict === 'repeated' })
  }
  return conflict ?? appended
}

/** Group commit: what was asked for in one turn of the event loop, and while the writers were busy, goes into one statement
 *  and one commit. When many wait, a batch is about half of them, so that both writers have work. Appends that share a stream or an
 *  event id go one after the other, in the order they were asked.
 *  `onCommitted` hears the position up to which this process has written. */
export const createWriter = ({
  query,
  positions,
  onCommitted,
}: {
  readonly query: Query
  readonly positions: Positions
  readonly onCommitted: (position: bigint) => void
}): Writer => {
  const turns = createKeyedQueue<Unit>()
  let ready: Unit[] = []
  let running = 0
  let unanswered = 0
  let scheduled = false
  let carefulFor = 0
  let closing: (() => void) | undefined
  let closed: Promise<void> | undefined

  const run = async (units: readonly Unit[]): Promise<void> => {
    const careful = carefulFor > 0
    if (careful) carefulFor -= 1
    const [row] = await query<[string]>('eventStore.append', APPEND, valuesOf(units, careful), {
      rowMode: 'array',
      name: 'event_store_append_batch',
    })
    const { plain, outcomes } = outcomesOf(units, row?.[0] ?? '')
    if (!plain && outcomes.some(({ verdict }) => verdict !== 'appended')) carefulFor = carefulBatches
    let first = 0
    for (const unit of units) {
      const answer = answerOf(unit, outcomes.slice(first, first + unit.appends.length), positions)
      first += unit.appends.length
      unit.resolve(answer)
    }
    let head = 0n
    for (const { at } of outcomes) if (at !== undefined && at > head) head = at
    if (head > 0n) onCommitted(head)
  }

  const runBatch = async (units: readonly Unit[]): Promise<void> => {
    try {
      await run(units)
    } catch (error) {
      // One of them is poison, and nothing was written: each on its own, so that only that one is refused.
      if (units.length === 1 || isUnavailable(error)) for (const unit of units) unit.reject(error)
      else for (const unit of units) await runBatch([unit])
    }
  }

  const writers = () => (unanswered < secondWriterFrom ? 1 : writersMax)

  const takeBatch = (): Unit[] => {
    const share = Math.ceil(unanswered / writers())
    let events = 0
    let characters = 0
    let count = 0
    for (const unit of ready) {
      events += unit.events
      characters += unit.characters
      if (count > 0 && (count >= share || events > batchEventsMax || characters > batchCharactersMax)) break
      count += 1
    }
    const batch = ready.slice(0, count)
    ready = ready.slice(count)
    return batch
  }

  const flush = () => {
    scheduled = false
    while (running < writers() && ready.length > 0) {
      const batch = takeBatch()
      running += 1
      void runBatch(batch).then(() => {
        running -= 1
        unanswered -= batch.length
        for (const unit of batch) ready.push(...turns.leave(unit))
        if (unanswered === 0) closing?.()
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
        const unit: Unit = {
          appends,
          // No id of an event has a space.
          keys: appends.flatMap(({ stream, events }) => [`stream ${stream}`, ...events.map(({ id }) => id)]),
          events: appends.reduce((sum, { events }) => sum + events.length, 0),
          characters: appends.reduce((sum, append) => sum + weightOf(append), 0),
          resolve,
          reject,
        }
        unanswered += 1
        if (turns.enter(unit)) ready.push(unit)
        schedule()
      }),
    close: () => {
      closed ??= new Promise((resolve) => {
        if (unanswered === 0) resolve()
        else closing = resolve
      })
      return closed
    },
  }
}
