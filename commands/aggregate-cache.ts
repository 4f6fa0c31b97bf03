import { type AggregateName, type EventOf, type StateOf, streamOf } from '../domain/aggregates.ts'
import type { EventStore, NewEvent, StoredEvent } from '../infra/event-store/port.ts'
import { type CommandIndex, createCommandIndex } from './command-index.ts'
import { createLruCache } from './lru-cache.ts'
import { aggregateOf, domainEventOf, type RecordedEvent, recorded, type StoredRecord } from './recorded.ts'
import { weightOf } from './weight.ts'

/** An aggregate after some revision of its stream. What is stored never changes, so this stays true; it may only be behind. */
export type Folded<Name extends AggregateName> = {
  readonly state: StateOf<Name>
  /** Undefined when nothing is there. */
  readonly revision: bigint | undefined
  readonly first: RecordedEvent<EventOf<Name>> | undefined
  readonly last: RecordedEvent<EventOf<Name>> | undefined
  /** Of the last event. */
  readonly commandId: string | undefined
  readonly answers: CommandIndex
  /** The state when it was last on the scales: once, and then whenever the stream has doubled. */
  readonly weighed: { readonly events: bigint; readonly bytes: number }
}

/** What may be kept; the least recently used goes first. The newest stays, however heavy. */
export type AggregateCacheLimits = { readonly streamsMax: number; readonly bytesMax: number }
export const aggregateCacheLimits: AggregateCacheLimits = { streamsMax: 10_000, bytesMax: 64 * 1024 * 1024 }

/** What an entry weighs beside its state and its command ids. */
const entryBytes = 2_000
/** Answers are short: a command has an event or two. */
const answerEventsRead = 8

export type AggregateCache = {
  /** What is kept, perhaps behind what is stored. Reads nothing. */
  cached<Name extends AggregateName>(name: Name, id: string): Folded<Name> | undefined
  /** The aggregate as it is stored now: folds what came after what is kept. Throws EVENT_UNREADABLE. */
  current<Name extends AggregateName>(name: Name, id: string): Promise<Folded<Name>>
  /** The events that the command has led to in what was folded, however long ago. */
  answerTo<Name extends AggregateName>(
    name: Name,
    id: string,
    folded: Folded<Name>,
    commandId: string,
  ): Promise<StoredRecord<EventOf<Name>>[]>
  /** Folds what was just appended right after. The last event, as of `revision`, is the last that is stored. */
  appended<Name extends AggregateName>(
    name: Name,
    id: string,
    folded: Folded<Name>,
    events: readonly NewEvent[],
  ): { readonly folded: Folded<Name>; readonly events: readonly RecordedEvent<EventOf<Name>>[] }
  forget(name: AggregateName, id: string): void
}

/** Keeps aggregates by stream, so that a command costs the same however long the stream is: only what came after is read, and
 *  of the past only where each command was answered is remembered. */
export const createAggregateCache = ({
  store,
  limits: { streamsMax, bytesMax } = aggregateCacheLimits,
}: {
  readonly store: Pick<EventStore, 'readStream'>
  readonly limits?: AggregateCacheLimits | undefined
}): AggregateCache => {
  const folds = createLruCache<Folded<AggregateName>>({ entriesMax: streamsMax, weightMax: bytesMax })
  const beginning = new Map<string, Promise<unknown>>()

  const cached = <Name extends AggregateName>(name: Name, id: string) =>
    folds.get(streamOf(name, id)) as Folded<Name> | undefined

  /** Another reader may have come further in the meantime. */
  const keep = <Name extends AggregateName>(name: Name, id: string, folded: Folded<Name>): Folded<Name> => {
    const { revision, weighed, answers } = folded
    if (revision === undefined || revision <= (cached(name, id)?.revision ?? -1n)) return folded
    folds.set(streamOf(name, id), folded as Folded<AggregateName>, entryBytes + weighed.bytes + answers.bytes)
    return folded
  }

  const readOn = async <Name extends AggregateName>(name: Name, id: string, from: Folded<Name>) => {
    const range = from.revision === undefined ? {} : { from: from.revision + 1n }
    let folded = from
    for await (const stored of store.readStream(streamOf(name, id), range)) folded = fold(name, folded, stored)
    return folded === from ? from : keep(name, id, weigh(folded))
  }

  /** Many who ask for the same long stream at the same time wait for the first of them. */
  const begin = async <Name extends AggregateName>(name: Name, id: string): Promise<Folded<Name>> => {
    const stream = streamOf(name, id)
    const reading = readOn(name, id, nothing(name))
    beginning.set(stream, reading)
    try {
      return await reading
    } finally {
      beginning.delete(stream)
    }
  }

  return {
    cached,
    current: async (name, id) => {
      const first = beginning.get(streamOf(name, id))
      if (first) await first.catch(() => undefined)
      const known = cached(name, id)
      return known ? readOn(name, id, known) : begin(name, id)
    },
    answerTo: async (name, id, { answers }, commandId) => {
      const answer: StoredRecord<EventOf<typeof name>>[] = []
      const aggregate = aggregateOf(name)
      for (const revision of answers.find(commandId))
        for await (const stored of eventsFrom(store, streamOf(name, id), revision)) {
          if (stored.metadata.commandId !== commandId) break
          answer.push(recorded(stored, domainEventOf(aggregate, stored)))
        }
      return answer
    },
    appended: (name, id, before, events) => {
      const next = (before.revision ?? -1n) + 1n
      const grown: RecordedEvent<EventOf<typeof name>>[] = []
      let folded = before
      for (const [index, event] of events.entries()) {
        folded = fold(name, folded, { ...event, revision: next + BigInt(index) })
        if (folded.last) grown.push(folded.last)
      }
      return { folded: keep(name, id, weigh(folded)), events: grown }
    },
    forget: (name, id) => folds.delete(streamOf(name, id)),
  }
}

const nothing = <Name extends AggregateName>(name: Name): Folded<Name> => ({
  state: aggregateOf(name).initial,
  revision: undefined,
  first: undefined,
  last: undefined,
  commandId: undefined,
  answers: createCommandIndex(),
  weighed: { events: 0n, bytes: 0 },
})

/** One event further. The index is shared with whoever folds the same stream; it may know more than this fold, never less. */
const fold = <Name extends AggregateName>(
  name: Name,
  before: Folded<Name>,
  stored: NewEvent & Pick<StoredEvent, 'revision'>,
): Folded<Name> => {
  const aggregate = aggregateOf(name)
  const event = domainEventOf(aggregate, stored)
  const { commandId, correlationId } = stored.metadata
  const { revision, id: eventId } = stored
  const last = { event, eventId, revision, correlationId }
  if (commandId !== before.commandId) before.answers.add(commandId, revision)
  return {
    ...before,
    state: aggregate.evolve(before.state, event),
    revision,
    first: before.first ?? last,
    last,
    commandId,
  }
}

const weigh = <Name extends AggregateName>(folded: Folded<Name>): Folded<Name> => {
  const events = (folded.revision ?? -1n) + 1n
  if (events < folded.weighed.events * 2n) return folded
  return { ...folded, weighed: { events, bytes: weightOf(folded.state) } }
}

/** Few at a time: who asks for an answer needs the first event or two. */
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
