import { randomUUID } from 'node:crypto'
import { Failure } from '../../../domain/errors.ts'
import type {
  Append,
  Capabilities,
  EventStore,
  ExpectedRevision,
  IdProblem,
  IdsKnown,
  Json,
  NewEvent,
  StoredEvent,
  SubscribeOptions,
} from '../port.ts'

/** An engine of the event store, as the contract suite opens it. */
export type Engine = {
  /** The capabilities that the suite expects. The cases are listed before any store is open; then the store must
   *  declare the same ones. */
  readonly capabilities: Capabilities
  /** How many events the subscriber of the largest case tails, for an engine where 20,000 would take minutes. */
  readonly tailedEvents?: number
  /** Opens the store under test. It may hold events that other clients appended before. */
  open(): Promise<EventStore>
  /** Opens a new, empty store of this kind, with its own log. */
  openEmpty(): Promise<EventStore>
  /** Opens the log of a closed store, as another process would. For durable engines only. */
  reopen?(): Promise<EventStore>
  /** Opens the same log once more, over a connection that can be cut: `cutNext` breaks it while the next append is
   *  answered, and `cuts` returns how often that was done, where it can be known. For durable engines only, where this is
   *  possible. */
  openCuttable?(): Promise<{
    readonly store: EventStore
    readonly cutNext: () => void
    readonly cuts?: () => number
  }>
  /** Opens the same log once more. While `fail` has a fault, its reads are answered with that error; each of `faults` is
   *  one that the server may answer with. For engines with a server. */
  openFaulty?(): Promise<{
    readonly store: EventStore
    readonly faults: readonly string[]
    readonly fail: (fault: string | undefined) => void
  }>
}

/** The stores that every group of contract cases works with. All cases of a run share `store`, so each case takes
 *  its own streams. The run closes every store that a case opens with `openEmpty` or `reopen`. */
export type World = Pick<Engine, 'capabilities' | 'openEmpty' | 'openCuttable' | 'openFaulty'> & {
  readonly store: () => EventStore
  readonly reopen: () => Promise<EventStore>
  /** How many events the tailing subscribers receive. */
  readonly tailedEvents: number
}

/** Returns a stream name that no other case uses. */
export const newStream = (prefix = 'case'): string => `${prefix}-${randomUUID()}`

/** Returns an event with a fresh id. */
export const newEvent = (type = 'Happened', data: Json = { n: 1 }, time = '2026-01-02T03:04:05.678Z'): NewEvent => ({
  id: randomUUID(),
  type,
  data,
  metadata: {
    commandId: 'command',
    correlationId: 'correlation',
    causationId: 'cause',
    actor: 'ada',
    time,
    schemaVersion: 1,
  },
})

/** Returns so many events with fresh ids, numbered in their data. */
export const newEvents = (count: number): NewEvent[] =>
  Array.from({ length: count }, (_, n) => newEvent('Happened', { n }))

/** Returns the request to append these events to one stream. */
export const to = (stream: string, expected: ExpectedRevision, ...events: NewEvent[]): Append => ({
  stream,
  expected,
  events,
})

/** Reads an iterable to its end, and resolves to all its items. */
export const collect = async <Item>(items: AsyncIterable<Item>): Promise<Item[]> => {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Returns the revisions of events, in their order. */
export const revisionsOf = (events: readonly StoredEvent[]): bigint[] => events.map(({ revision }) => revision)

/** Returns the ids of events, in their order. */
export const idsOf = (events: readonly { readonly id: string }[]): string[] => events.map(({ id }) => id)

/** Returns the outcome of an append with event ids that are stored already, when it is no repetition. */
export const idsKnown = ({ stream }: Pick<Append, 'stream'>, problem: IdProblem): IdsKnown => ({
  outcome: 'ids known',
  stream,
  problem,
})

/** Resolves to the code of the failure that the work throws, or to undefined when it throws none. */
export const codeThrownBy = async (work: () => unknown): Promise<string | undefined> => {
  try {
    await work()
  } catch (error) {
    if (error instanceof Failure) return error.code
    throw error
  }
  return undefined
}

/** Subscribes until it has received so many events, and resolves to them; how many may be known later. Throws when the signal
 *  aborts first; without a signal, after a minute. */
export const eventsUntil = async (
  store: EventStore,
  { signal = AbortSignal.timeout(60_000), ...options }: Partial<SubscribeOptions>,
  count: number | (() => number),
): Promise<StoredEvent[]> => {
  const wanted = () => (typeof count === 'number' ? count : count())
  const events: StoredEvent[] = []
  for await (const batch of store.subscribe({ ...options, signal })) {
    events.push(...batch.events)
    if (events.length >= wanted()) return events
  }
  throw new Error(`The subscription ended before it had received ${wanted()} events.`)
}
