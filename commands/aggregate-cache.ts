import { type AggregateName, type EventOf, type StateOf, streamOf } from '../domain/aggregates.ts'
import { createBoundedMap, registerBound } from '../infra/async/bounded.ts'
import type { EventStore, NewEvent, Position, StoredEvent } from '../infra/event-store/port.ts'
import { weightOf } from '../infra/system/weight.ts'
import { type CommandIndex, createCommandIndex } from './command-index.ts'
import { aggregateOf, type RecordedEvent, recordedEventOf } from './recorded-event.ts'

/** An aggregate after some revision of its stream. What is stored never changes, so this stays true; it may only be
 *  behind. */
export type Folded<Name extends AggregateName> = {
  readonly state: StateOf<Name>
  /** Undefined when the stream does not exist. */
  readonly revision: bigint | undefined
  readonly first: RecordedEvent<EventOf<Name>> | undefined
  readonly last: RecordedEvent<EventOf<Name>> | undefined
  /** All its events, while they are few: none of them has to be read again. */
  readonly history: readonly RecordedEvent<EventOf<Name>>[] | undefined
  /** The command of the last event. */
  readonly commandId: string | undefined
  /** Where each command was answered. */
  readonly answers: CommandIndex
  /** The size of the state when it was last measured: once, and then whenever the stream has doubled. */
  readonly measured: { readonly events: bigint; readonly bytes: number }
}

const bound = registerBound({
  name: 'aggregate cache',
  holds: 'The states of the streams that commands used last.',
  whenFull: 'evicts the least recently used',
  entriesMax: 10_000,
  bytesMax: 64 * 1024 * 1024,
})
const absentBound = registerBound({
  name: 'streams that do not exist',
  holds: 'The names of streams that commands have looked for, and that did not exist.',
  whenFull: 'evicts the oldest',
  entriesMax: 20_000,
})
export type AggregateCacheLimits = { readonly streamsMax: number; readonly bytesMax: number }

/** The size of an entry without its state and its command ids. */
const entryBytes = 2_000
/** A rental that was not charged on the way, and most others, have no more. */
const historyEventsMax = 8
/** Answers are short: a command has an event or two. */
const answerEventsRead = 8

/** The events that a command has led to, and where the last of them stands. */
export type CommandAnswer<Name extends AggregateName> = {
  readonly events: readonly RecordedEvent<EventOf<Name>>[]
  readonly position: Position | undefined
}

export type AggregateCache = {
  /** Returns the cached aggregate, which may be behind what is stored; one of which nothing is stored, where its stream
   *  was not there when it was read. Reads nothing. */
  cached<Name extends AggregateName>(name: Name, id: string): Folded<Name> | undefined
  /** Returns an aggregate of which nothing is stored. */
  none<Name extends AggregateName>(name: Name): Folded<Name>
  /** Resolves to the aggregate as it is stored now: folds what came after the cached revision. Throws
   *  EVENT_UNREADABLE. */
  current<Name extends AggregateName>(name: Name, id: string): Promise<Folded<Name>>
  /** Resolves to the aggregate as it is cached, at a revision or later; reads it only where it is not, and shares the
   *  first read of a stream with others. */
  known<Name extends AggregateName>(name: Name, id: string, atLeast: bigint): Promise<Folded<Name>>
  /** Resolves to the events of a command among those that were folded, however long ago; to none when it has led to
   *  none. */
  answerTo<Name extends AggregateName>(
    name: Name,
    id: string,
    folded: Folded<Name>,
    commandId: string,
  ): Promise<CommandAnswer<Name>>
  /** Folds events that were just appended right after `folded`. */
  appended<Name extends AggregateName>(
    name: Name,
    id: string,
    folded: Folded<Name>,
    events: readonly NewEvent[],
  ): { readonly folded: Folded<Name>; readonly events: readonly RecordedEvent<EventOf<Name>>[] }
  forget(name: AggregateName, id: string): void
}

/** Caches aggregates by stream, so that a command costs the same however long the stream is: only what came after the
 *  cached revision is read, and of the events before it only where each command was answered is kept. */
export const createAggregateCache = ({
  store,
  limits,
}: {
  readonly store: Pick<EventStore, 'readStream'>
  readonly limits?: AggregateCacheLimits | undefined
}): AggregateCache => {
  const sizes = limits && { entriesMax: limits.streamsMax, bytesMax: limits.bytesMax }
  const entries = createBoundedMap<Folded<AggregateName>>(bound, sizes)
  const absent = createBoundedMap<true>(absentBound)
  const firstReads = new Map<string, Promise<unknown>>()

  const kept = <Name extends AggregateName>(name: Name, id: string) =>
    entries.get(streamOf(name, id)) as Folded<Name> | undefined
  const cached = <Name extends AggregateName>(name: Name, id: string) =>
    kept(name, id) ?? (absent.has(streamOf(name, id)) ? empty(name) : undefined)

  /** Keeps the newer of two states: another reader may have read further in the meantime. */
  const keepNewest = <Name extends AggregateName>(name: Name, id: string, folded: Folded<Name>): Folded<Name> => {
    const { revision, measured, answers } = folded
    const stream = streamOf(name, id)
    if (revision === undefined || revision <= (kept(name, id)?.revision ?? -1n)) return folded
    absent.delete(stream)
    entries.set(stream, folded as Folded<AggregateName>, entryBytes + measured.bytes + answers.bytes)
    return folded
  }

  const readFrom = async <Name extends AggregateName>(name: Name, id: string, from: Folded<Name>) => {
    const range = from.revision === undefined ? {} : { from: from.revision + 1n }
    let folded = from
    for await (const stored of store.readStream(streamOf(name, id), range)) folded = fold(name, folded, stored)
    if (folded !== from) return keepNewest(name, id, measure(folded))
    if (from.revision === undefined && !kept(name, id)) absent.set(streamOf(name, id), true)
    return from
  }

  /** Reads a stream for the first time. Callers that ask for the same long stream at the same time share one read. */
  const readFirst = async <Name extends AggregateName>(name: Name, id: string): Promise<Folded<Name>> => {
    const stream = streamOf(name, id)
    const reading = readFrom(name, id, empty(name))
    firstReads.set(stream, reading)
    try {
      return await reading
    } finally {
      firstReads.delete(stream)
    }
  }

  const current: AggregateCache['current'] = async (name, id) => {
    const first = firstReads.get(streamOf(name, id))
    if (first) await first.catch(() => undefined)
    const known = kept(name, id)
    return known ? readFrom(name, id, known) : readFirst(name, id)
  }

  return {
    cached,
    none: empty,
    current,
    known: async (name, id, atLeast) => {
      const enough = () => {
        const known = kept(name, id)
        return known && (known.revision ?? -1n) >= atLeast ? known : undefined
      }
      const known = enough()
      if (known) return known
      const first = firstReads.get(streamOf(name, id))
      if (first) await first.catch(() => undefined)
      return enough() ?? current(name, id)
    },
    answerTo: async (name, id, { answers }, commandId) => {
      const events: RecordedEvent<EventOf<typeof name>>[] = []
      let position: Position | undefined
      for (const revision of answers.find(commandId))
        for await (const stored of eventsFrom(store, streamOf(name, id), revision)) {
          if (stored.metadata.commandId !== commandId) break
          events.push(recordedEventOf(name, stored))
          position = stored.position
        }
      return { events, position }
    },
    appended: (name, id, before, events) => {
      const next = (before.revision ?? -1n) + 1n
      const recorded: RecordedEvent<EventOf<typeof name>>[] = []
      let folded = before
      for (const [index, event] of events.entries()) {
        folded = fold(name, folded, { ...event, revision: next + BigInt(index) })
        if (folded.last) recorded.push(folded.last)
      }
      return { folded: keepNewest(name, id, measure(folded)), events: recorded }
    },
    forget: (name, id) => {
      entries.delete(streamOf(name, id))
      absent.delete(streamOf(name, id))
    },
  }
}

const empty = <Name extends AggregateName>(name: Name): Folded<Name> => ({
  state: aggregateOf(name).initial,
  revision: undefined,
  first: undefined,
  last: undefined,
  history: [],
  commandId: undefined,
  answers: createCommandIndex(),
  measured: { events: 0n, bytes: 0 },
})

/** Folds one event. The index is shared by all folds of the same stream; it may know more than this fold, never
 *  less. */
const fold = <Name extends AggregateName>(
  name: Name,
  before: Folded<Name>,
  stored: NewEvent & Pick<StoredEvent, 'revision'>,
): Folded<Name> => {
  const last = recordedEventOf(name, stored)
  const { commandId } = stored.metadata
  if (commandId !== before.commandId) before.answers.add(commandId, stored.revision)
  return {
    ...before,
    state: aggregateOf(name).evolve(before.state, last.event),
    revision: stored.revision,
    first: before.first ?? last,
    last,
    history: before.history && before.history.length < historyEventsMax ? [...before.history, last] : undefined,
    commandId,
  }
}

const measure = <Name extends AggregateName>(folded: Folded<Name>): Folded<Name> => {
  const events = (folded.revision ?? -1n) + 1n
  if (events < folded.measured.events * 2n) return folded
  return { ...folded, measured: { events, bytes: weightOf(folded.state) + weightOf(folded.history) } }
}

/** Reads a few events at a time: an answer is the first one or two of them. */
async function* eventsFrom(
  store: Pick<EventStore, 'readStream'>,
  stream: string,
  revision: bigint,
): AsyncGenerator<StoredEvent> {
  for (let from = revision, more = true; more; ) {
    let count = 0
    for await (const stored of store.readStream(stream, { from, limit: answerEventsRead })) {
      yield stored
      from = stored.revision + 1n
      count += 1
    }
    more = count === answerEventsRead
  }
}
