import { randomUUID } from 'node:crypto'
import { Failure } from '../../domain/errors.ts'
import type { Append, EventStore, ExpectedRevision, Json, NewEvent, StoredEvent } from './port.ts'

/** What every group of contract cases is given. `store` is shared by the cases of a run, so each takes streams of its own;
 *  `open` gives a new, empty store, which the run closes. */
export type World = { readonly store: () => EventStore; readonly open: () => Promise<EventStore> }

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
