import { Failure } from '../../domain/errors.ts'
import type { Query } from '../postgres.ts'
import { bigintArray, intArray, jsonArray, textArray, uuidArray } from './binary-array.ts'
import { type CheckedAppend, type IdProblem, idFailure, idProblems, isUnavailable, weightOf } from './checks.ts'
import type { Appended, Conflict, ExpectedRevision } from './port.ts'
import type { Positions } from './position.ts'
import { createTurns } from './turns.ts'

/** While one connection waits for its commit to reach the disk, the other prepares the next batch. More only queue up at the
 *  lock. */
const writersMax = 2
const batchEventsMax = 2_000
const batchCharactersMax = 8 * 1024 * 1024

const APPEND = 'select * from log.append($1, $2, $3, $4, $5, $6, $7, $8, $9)'

type Answer = readonly Appended[] | Conflict
type Row = readonly [verdict: string, revision: string, position: string | null]

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

const valuesOf = (units: readonly Unit[]): readonly Buffer[] => {
  const appends = units.flatMap((unit, index) => unit.appends.map((append) => ({ append, unit: index + 1 })))
  const events = appends.flatMap(({ append }, index) => append.events.map((event) => ({ event, append: index + 1 })))
  const firsts = [1]
  for (const { append } of appends) firsts.push((firsts.at(-1) ?? 1) + append.events.length)
  return [
    textArray(appends.map(({ append }) => append.stream)),
    bigintArray(appends.map(({ append }) => codeOf(append.expected))),
    intArray(appends.map(({ unit }) => unit)),
    intArray(firsts),
    intArray(events.map(({ append }) => append)),
    uuidArray(events.map(({ event }) => event.id)),
    textArray(events.map(({ event }) => event.type)),
    jsonArray(events.map(({ event }) => event.data)),
    jsonArray(events.map(({ event }) => event.metadata)),
  ]
}

const isIdProblem = (verdict: string): verdict is IdProblem => verdict in idProblems

const answerOf = ({ appends }: Unit, rows: readonly Row[], positions: Positions): Answer | Failure => {
  const appended: Appended[] = []
  let conflict: Conflict | undefined
  for (const [index, { stream }] of appends.entries()) {
    const [verdict, revision, position] = rows[index] ?? ['missing', '-1', null]
    const last = BigInt(revision)
    if (isIdProblem(verdict)) return idFailure(stream, verdict)
    if (verdict === 'conflict') conflict ??= { outcome: 'conflict', stream, actual: last < 0n ? undefined : last }
    else if (position !== null)
      appended.push({
        outcome: 'appended',
        revision: last,
        position: positions.of(position),
        repeated: verdict === 'repeated',
      })
  }
  return conflict ?? appended
}

/** Group commit: what was asked for in one turn of the event loop, and while the writers were busy, goes into one statement
 *  and one commit. A batch is about half of what waits, so that both writers have work. Appends that share a stream or an
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
  const turns = createTurns<Unit>()
  let ready: Unit[] = []
  let running = 0
  let unanswered = 0
  let scheduled = false
  let closing: (() => void) | undefined
  let closed: Promise<void> | undefined

  const run = async (units: readonly Unit[]): Promise<void> => {
    const rows = await query<Row>('eventStore.append', APPEND, valuesOf(units), {
      rowMode: 'array',
      name: 'event_store_append',
    })
    let first = 0
    let head = 0n
    for (const unit of units) {
      const answer = answerOf(unit, rows.slice(first, first + unit.appends.length), positions)
      first += unit.appends.length
      if (answer instanceof Failure) unit.reject(answer)
      else {
        if (!('outcome' in answer))
          for (const { position } of answer) {
            const number = positions.numberOf(position)
            if (number > head) head = number
          }
        unit.resolve(answer)
      }
    }
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

  const takeBatch = (): Unit[] => {
    const share = Math.ceil(unanswered / writersMax)
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
    while (running < writersMax && ready.length > 0) {
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
          keys: appends.flatMap(({ stream, events }) => [`stream ${stream}`, ...events.map(({ id }) => `event ${id}`)]),
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
