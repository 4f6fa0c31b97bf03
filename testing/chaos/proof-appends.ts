import type { EventStore, StoredEvent } from '../../infra/event-store/port.ts'
import { digestOf, type Line } from './journal.ts'
import { createComplaints, type Examiner, figure, type Proof } from './proof.ts'

/** The journal of one writer, from its beginning. */
export type WriterLines = { readonly writer: string; readonly lines: AsyncIterator<Line> }

/** The outcomes of the appends: `acknowledged` with their events; `unknown` for those with an outcome that was once
 *  unknown. */
export type AppendCounts = {
  appends: number
  acknowledged: number
  acknowledgedEvents: number
  repeated: number
  refused: number
  unknown: {
    /** The answer to the retry was that the first try had been stored. */
    storedBefore: number
    /** The retry was stored. */
    storedByRetry: number
    refusedAtRetry: number
    /** There was no retry. */
    leftWhole: number
    leftAbsent: number
  }
}

type Found = { readonly revision: bigint; readonly position: string; readonly stream: string; readonly digest: number }
/** What is known of one event id while an append of it is open. */
type Known = { readonly entries: Set<Entry>; stored: Found | undefined; confirmed: boolean }
type Entry = {
  readonly name: string
  readonly parts: Extract<Line, { is: 'begun' }>['parts']
  /** How many of its events are in the log as they were appended. */
  found: number
  answer: Extract<Line, { is: 'stored' }> | undefined
  unknown: boolean
}
type Writer = {
  readonly name: string
  readonly lines: AsyncIterator<Line>
  readonly entries: Map<number, Entry>
  /** The last position that was acknowledged to it. */
  acknowledgedUntil: string
  ended: boolean
}

const sizeOf = ({ parts }: Entry): number => parts.reduce((sum, { ids }) => sum + ids.length, 0)

/** Compares the log with what each writer began and with the answers it got. Every event of the log was being appended
 *  at that time, as it is; an acknowledged append is there once, at the acknowledged place; a refused one is not there;
 *  an unanswered one is there whole or not at all. Several writers may append the same events, as sagas do: one of them
 *  has stored them.
 *
 *  Reads the journals alongside the log, no further than needed: what is stored at a position was begun before anything
 *  later was acknowledged. So memory is needed for what was under way at one moment, however long the run. */
export const examineAppends = (
  journals: readonly WriterLines[],
  { readStream }: Pick<EventStore, 'readStream'>,
): Examiner & { readonly counts: AppendCounts } => {
  // A store that breaks one promise may make a thousand events look strange: each gets its room.
  const promises = createComplaints()
  const strangers = createComplaints()
  const writers: Writer[] = journals.map(({ writer, lines }) => ({
    name: writer,
    lines,
    entries: new Map(),
    acknowledgedUntil: '',
    ended: false,
  }))
  const known = new Map<string, Known>()
  /** Acknowledged, and the log has not come so far yet. */
  const waiting = new Set<Entry>()
  const late: Entry[] = []
  let at = ''
  const counts: AppendCounts = {
    appends: 0,
    acknowledged: 0,
    acknowledgedEvents: 0,
    repeated: 0,
    refused: 0,
    unknown: { storedBefore: 0, storedByRetry: 0, refusedAtRetry: 0, leftWhole: 0, leftAbsent: 0 },
  }

  const forget = (entry: Entry) => {
    for (const { ids } of entry.parts)
      for (const id of ids) {
        const one = known.get(id)
        one?.entries.delete(entry)
        if (one?.entries.size === 0) known.delete(id)
      }
  }

  const wants = ({ parts }: Entry, id: string, { stream, digest }: Found): boolean =>
    parts.some((part) => part.stream === stream && part.digests[part.ids.indexOf(id)] === digest)

  /** Returns what is wrong with the places of its events in the log. */
  const misplaced = (entry: Entry): string | undefined => {
    for (const [index, { stream, ids }] of entry.parts.entries()) {
      const places = ids.map((id) => known.get(id)?.stored)
      const first = places[0]?.revision ?? 0n
      if (places.some((place, step) => place?.revision !== first + BigInt(step)))
        return `lies at the revisions ${places.map((place) => place?.revision).join(', ')} of ${stream}`
      const [revision, position] = entry.answer?.at[index] ?? []
      const last = places.at(-1)
      if (position !== undefined && (String(last?.revision) !== revision || last?.position !== position))
        return `was acknowledged at revision ${revision} of ${stream}, position ${position}, and lies at ${last?.revision}, ${last?.position}`
    }
    return undefined
  }

  /** Confirms an append: it has its answer, and all its events are in the log. */
  const confirm = (entry: Entry) => {
    const problem = misplaced(entry)
    if (problem) promises.add(`${entry.name} ${problem}`)
    for (const { ids } of entry.parts)
      for (const id of ids) {
        const one = known.get(id)
        if (!one || one.confirmed) continue
        one.confirmed = true
        counts.acknowledgedEvents += 1
      }
    forget(entry)
  }

  const begin = (writer: Writer, { n, parts }: Extract<Line, { is: 'begun' }>) => {
    const before = writer.entries.get(n)
    if (before) {
      // A new life of the writer has carried it over from a killed one.
      before.unknown = true
      return
    }
    const name = `append ${n} of ${writer.name}`
    const entry: Entry = { name, parts, found: 0, answer: undefined, unknown: false }
    counts.appends += 1
    writer.entries.set(n, entry)
    for (const { ids } of parts)
      for (const id of ids) {
        const one: Known = known.get(id) ?? { entries: new Set(), stored: undefined, confirmed: false }
        one.entries.add(entry)
        known.set(id, one)
        if (one.stored && wants(entry, id, one.stored)) entry.found += 1
      }
  }

  const acknowledge = (writer: Writer, entry: Entry, answer: Extract<Line, { is: 'stored' }>) => {
    entry.answer = answer
    counts.acknowledged += 1
    if (answer.repeated) counts.repeated += 1
    if (entry.unknown) counts.unknown[answer.repeated ? 'storedBefore' : 'storedByRetry'] += 1
    for (const [, position] of answer.at) if (position > writer.acknowledgedUntil) writer.acknowledgedUntil = position
    if (entry.found === sizeOf(entry)) return confirm(entry)
    // The log is read beyond it already: other writers appended the same and were answered before.
    if (entry.found === 0 && answer.at.every(([, position]) => position <= at)) {
      forget(entry)
      late.push(entry)
    } else waiting.add(entry)
  }

  const refuse = (entry: Entry, why: string) => {
    counts.refused += 1
    if (entry.unknown) counts.unknown.refusedAtRetry += 1
    const stored = entry.parts
      .flatMap(({ ids }) => ids)
      .filter((id) => {
        const one = known.get(id)
        return one?.stored && wants(entry, id, one.stored) && !one.confirmed && one.entries.size === 1
      })
    if (stored.length > 0) promises.add(`${entry.name} was answered ${why}, and ${stored[0]} is in the log`)
    forget(entry)
  }

  const apply = (writer: Writer, line: Line) => {
    if (line.is === 'begun') return begin(writer, line)
    const entry = writer.entries.get(line.n)
    if (!entry) return promises.add(`${writer.name} was answered for append ${line.n}, which it had not begun`)
    if (line.is === 'unknown') {
      entry.unknown = true
      return
    }
    writer.entries.delete(line.n)
    if (line.is === 'stored') acknowledge(writer, entry, line)
    else refuse(entry, line.why)
  }

  const readUntil = async (writer: Writer, enough: () => boolean) => {
    while (!writer.ended && !enough()) {
      const next = await writer.lines.next()
      if (next.done) writer.ended = true
      else apply(writer, next.value)
    }
  }

  const examine = async (event: StoredEvent) => {
    const { id, stream, revision, position } = event
    for (const writer of writers)
      if (!writer.ended && writer.acknowledgedUntil <= position)
        await readUntil(writer, () => writer.acknowledgedUntil > position)
    at = position
    const where = `${event.type} ${id} at revision ${revision} of ${stream}, position ${position},`
    const one = known.get(id)
    if (!one)
      return strangers.add(
        `${where} was not being appended then: it is doubled, was refused, is of no writer, or was put in below what was acknowledged before`,
      )
    if (one.stored) return strangers.add(`${where} is there twice, first at ${one.stored.position}`)
    one.stored = { revision, position, stream, digest: digestOf(event) }
    const wanting = [...one.entries].filter((entry) => wants(entry, id, one.stored as Found))
    if (wanting.length === 0) return strangers.add(`${where} is not as it was appended`)
    for (const entry of wanting) {
      entry.found += 1
      if (!entry.answer || entry.found < sizeOf(entry)) continue
      waiting.delete(entry)
      confirm(entry)
    }
  }

  const leave = (entry: Entry) => {
    const ids = entry.parts.flatMap((part) => part.ids)
    const found = ids.filter((id) => {
      const seen = known.get(id)?.stored
      return seen && wants(entry, id, seen)
    })
    if (found.length === 0) counts.unknown.leftAbsent += 1
    else if (found.length === ids.length) {
      counts.unknown.leftWhole += 1
      const problem = misplaced(entry)
      if (problem) promises.add(`${entry.name}, unanswered, ${problem}`)
    } else if (found.some((id) => known.get(id)?.entries.size === 1 && !known.get(id)?.confirmed))
      promises.add(`${entry.name}, unanswered, is half there: ${found.length} of ${ids.length} events`)
  }

  const lookUp = async (entry: Entry) => {
    for (const [index, { stream, ids }] of entry.parts.entries()) {
      const [revision = '0', position] = entry.answer?.at[index] ?? []
      const range = { from: BigInt(revision) - BigInt(ids.length - 1), limit: ids.length }
      const events = range.from < 0n ? [] : await Array.fromAsync(readStream(stream, range))
      if (events.map(({ id }) => id).join() !== ids.join() || events.at(-1)?.position !== position)
        promises.add(`${entry.name} was acknowledged at revision ${revision} of ${stream}, and is not there`)
    }
  }

  const end = async (): Promise<Proof> => {
    for (const writer of writers) await readUntil(writer, () => false)
    for (const entry of waiting)
      promises.add(
        `${entry.name} was acknowledged at ${entry.answer?.at.map(([, position]) => position).join(', ')}, and ${entry.found} of its ${sizeOf(entry)} events are in the log`,
      )
    for (const writer of writers) for (const entry of writer.entries.values()) leave(entry)
    for (const entry of late) await lookUp(entry)
    return {
      name: 'every acknowledged event is there once, no unacknowledged append is half there',
      looked: `${figure(counts.acknowledgedEvents)} events of ${figure(counts.appends)} appends`,
      complaints: [...promises.list(), ...strangers.list()],
    }
  }

  return { examine, end, counts }
}
