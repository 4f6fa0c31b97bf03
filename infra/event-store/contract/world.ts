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

/** An engine as the suite needs it. */
export type Engine = {
  /** What it declares; given here too because the cases are listed before any store is open, and compared with its own word. */
  readonly capabilities: Capabilities
  /** How many events the subscriber of the largest case tails, where 20,000 would take minutes. */
  readonly tailedEvents?: number
  /** The store under test. It may hold what others have put into it before. */
  open(): Promise<EventStore>
  /** A new, empty store of this kind, with a log of its own. */
  openEmpty(): Promise<EventStore>
  /** Only of a durable one: opens what a closed store held, as another process would. */
  reopen?(): Promise<EventStore>
  /** Only of a durable one, and where it can be done: opens the same once more, over a connection that can be cut. `cutNext`
   *  breaks it while the next append is answered. */
  openCuttable?(): Promise<{ readonly store: EventStore; readonly cutNext: () => void }>
}

/** What every group of contract cases is given. `store` is shared by the cases of a run, so each takes streams of its own.
 *  What the others open, the run closes. */
export type World = Pick<Engine, 'capabilities' | 'openEmpty' | 'openCuttable'> & {
  readonly store: () => EventStore
  readonly reopen: () => Promise<EventStore>
  /** How many events the tailing subscribers meet. */
  readonly tailedEvents: number
}

export const newStream = (prefix = 'case'): string => `${prefix}-${randomUUID()}`

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

export const newEvents = (count: number): NewEvent[] =>
  Array.from({ length: count }, (_, n) => newEvent('Happened', { n }))

export const to = (stream: string, expected: ExpectedRevision, ...events: NewEvent[]): Append => ({
  stream,
  expected,
  events,
})

export const collect = async <Item>(items: AsyncIterable<Item>): Promise<Item[]> => {
  const all: Item[] = []
  for await (const item of items) all.push(item)
  return all
}

export const revisionsOf = (events: readonly StoredEvent[]): bigint[] => events.map(({ revision }) => revision)
export const idsOf = (events: readonly { readonly id: string }[]): string[] => events.map(({ id }) => id)

/** The outcome of an append whose event ids are stored already, without being a repetition. */
export const idsKnown = ({ stream }: Pick<Append, 'stream'>, problem: IdProblem): IdsKnown => ({
  outcome: 'ids known',
  stream,
  problem,
})

/** The code of the failure that this throws; undefined when it throws none. */
export const codeThrownBy = async (work: () => unknown): Promise<string | undefined> => {
  try {
    await work()
  } catch (error) {
    if (error instanceof Failure) return error.code
    throw error
  }
  return undefined
}

/** Subscribes until so many events have come, or fails after a minute. */
export const eventsUntil = async (
  store: EventStore,
  options: Omit<SubscribeOptions, 'signal'>,
  count: number,
): Promise<StoredEvent[]> => {
  const events: StoredEvent[] = []
  for await (const batch of store.subscribe({ ...options, signal: AbortSignal.timeout(60_000) })) {
    events.push(...batch.events)
    if (events.length >= count) return events
  }
  throw new Error('The subscription ended before enough had come.')
}
