import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Append, EventStore, Json, NewEvent, Position, StoredEvent } from '../../infra/event-store/port.ts'

/** The folder of the golden log: a small history with every event type in every past and current version. */
export const goldenFolder = join(import.meta.dirname, '../../domain/golden-log')

/** One stored event as the golden log keeps it. Its position is left out: that is the store's. */
export type GoldenEvent = NewEvent & { readonly stream: string; readonly revision: bigint }

/** Returns one line of the golden log. */
export const toLine = ({ stream, revision, id, type, data, metadata }: StoredEvent): string =>
  JSON.stringify({ stream, revision: String(revision), id, type, data, metadata } satisfies Record<string, Json>)

export const fromLine = (line: string): GoldenEvent => {
  const { revision, ...event } = JSON.parse(line) as NewEvent & { readonly stream: string; readonly revision: string }
  return { ...event, revision: BigInt(revision) }
}

export const linesOf = (file: string): string[] =>
  readFileSync(join(goldenFolder, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '')

export const digestOf = (line: string): string => createHash('sha256').update(line).digest('hex')

const appendOf = ({ stream, revision, ...event }: GoldenEvent): Append => ({
  stream,
  expected: revision === 0n ? 'no stream' : revision - 1n,
  events: [event],
})

/** Appends these events to a store, in their order. Events that are there already stay as they are. Resolves to the
 *  position of the last. Throws when one of them would get another revision. */
export const loadEvents = async (store: EventStore, events: Iterable<GoldenEvent>): Promise<Position> => {
  let position = store.start
  for (const event of events) {
    const answer = await store.append(appendOf(event))
    if (answer.outcome !== 'appended' || answer.revision !== event.revision)
      throw new Error(`${event.type} cannot be revision ${event.revision} of ${event.stream}`)
    position = answer.position
  }
  return position
}

/** Appends the golden log to a store, as a history to try things on. A second call changes nothing. */
export const loadGoldenLog = (store: EventStore): Promise<Position> =>
  loadEvents(store, linesOf('events.jsonl').map(fromLine))
