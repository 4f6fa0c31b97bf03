import { createBoundedMap, registerBound } from '../../async/bounded.ts'
import type { Filter, Json, Metadata, StoredEvent } from '../port.ts'
import type { Positions } from '../position.ts'
import { type CheckedAppend, isNamePrefix } from '../validation.ts'
import type { Page } from './pages.ts'

const bound = registerBound({
  name: 'own events',
  holds: 'What this process has appended to its log in PostgreSQL last, so that it need not read it.',
  whenFull: 'evicts the oldest',
  entriesMax: 2_000,
  bytesMax: 8 * 1024 * 1024,
})
const bytesPerCharacter = 2

/** An append that was committed, with the number and the revision of its last event. */
export type Committed = { readonly append: CheckedAppend; readonly position: bigint; readonly revision: bigint }

export type OwnEvents = {
  add(committed: readonly Committed[]): void
  /** Returns the page that begins with `low`, when the event there is one of these. */
  page(low: bigint, high: bigint, rowsMax: number): Page | undefined
  clear(): void
}

/** What is kept of an event: it is parsed when it is asked for first, as it would be when it is read. */
type Own = { readonly characters: number; readonly parse: () => StoredEvent }

/** Creates the memory of what this process has appended last, so that its subscribers need not read it. Positions have
 *  no gaps, so a page of events that follow each other here is all that the log has there, also while others append: where
 *  another process has written in between, a number is missing, and the page ends before it. */
export const createOwnEvents = (positions: Positions): OwnEvents => {
  let byNumber = createBoundedMap<Own>(bound)

  return {
    add: (committed) => {
      for (const { append, position, revision } of committed)
        for (const [index, { id, type, data, metadata }] of append.events.entries()) {
          const behind = BigInt(append.events.length - 1 - index)
          const size = data.length + metadata.length
          const parse = () => ({
            id: id.toLowerCase(),
            type,
            data: JSON.parse(data) as Json,
            metadata: JSON.parse(metadata) as Metadata,
            stream: append.stream,
            revision: revision - behind,
            position: positions.of(position - behind),
          })
          byNumber.set(String(position - behind), { characters: size, parse }, size * bytesPerCharacter)
        }
    },
    page: (low, high, rowsMax) => {
      const events: StoredEvent[] = []
      let bytes = 0
      let through = low - 1n
      while (through < high && events.length < rowsMax) {
        const own = byNumber.get(String(through + 1n))
        if (!own) break
        through += 1n
        bytes += own.characters
        events.push(own.parse())
      }
      return through < low ? undefined : { events, bytes, through, isFull: events.length === rowsMax }
    },
    clear: () => {
      byNumber = createBoundedMap<Own>(bound)
    },
  }
}

/** Returns the page without the events that do not pass the filter. */
export const filtered = (page: Page, { types, streamPrefix }: Filter): Page => {
  const passes = ({ type, stream }: StoredEvent) =>
    (types === undefined || types.includes(type)) &&
    (!streamPrefix || (isNamePrefix(streamPrefix) && stream.startsWith(streamPrefix)))
  const events = page.events.filter(passes)
  return { ...page, events, isFull: page.isFull && events.length === page.events.length }
}
