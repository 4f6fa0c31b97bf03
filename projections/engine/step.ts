import type { DomainEvent } from '../../domain/aggregates.ts'
import type { Position, StoredEvent } from '../../infra/event-store/port.ts'
import type { EventRef, Parking } from './parked-streams.ts'
import { decodeStored, type EventMetadata, type Projection } from './projection.ts'
import type { AnyRow } from './table.ts'

/** What follows from a part of the log: the rows that it changes, each once, and the streams that cannot go on. */
export type Step = {
  /** Where the part ends. */
  readonly position: Position
  readonly events: number
  /** Each with the stream that it is folded from. */
  readonly rows: readonly { readonly row: AnyRow; readonly stream: string }[]
  readonly parkings: readonly Parking[]
  /** Events of streams that were parked before, how many of each. */
  readonly held: ReadonlyMap<string, number>
}

export type Folding = {
  /** Folds the next page. `isParked` says of a stream whether it was parked before this step.  */
  add(events: readonly StoredEvent[], isParked: (stream: string) => boolean): Promise<void>
  count(): number
  /** The step that the pages make; nothing is added any more. */
  finish(position: Position): Step
}

/** A row in memory. `folding` is the one that has changed it last. */
type Known = { row: AnyRow; readonly stream: string; folding: object | undefined }
/** What is known of rows, by key, over several foldings one after the other. */
export type Memory = Map<string, Known>

/** An event whose row is not known yet; `error`: it cannot even be read. */
type Deferred = { readonly stored: StoredEvent } & ({ readonly decoded: Decoded } | { readonly error: unknown })
type Decoded = { readonly event: DomainEvent; readonly recorded: EventMetadata; readonly key: string | undefined }

const placeOf = ({ stream, revision, position, type }: StoredEvent): EventRef => ({
  stream,
  revision,
  position,
  type,
})

/** Folds pages of the log into one step, in memory, and keeps nothing of an event once it is folded. One that cannot be read or
 *  folded parks its stream: what comes of that stream from there on is counted and left, all else goes on.
 *  @param memory what is known of rows; changed ones are put there too, behind all others.
 *  @param load finds the rows with these keys, those that exist. */
export const createFolding = (options: {
  readonly projection: Projection
  readonly memory: Memory
  readonly load: (keys: readonly string[]) => Promise<readonly AnyRow[]>
}): Folding => {
  const { projection, memory, load } = options
  const { rowsNeverChange } = projection
  const held = new Map<string, number>()
  const changed: Known[] = []
  const parkings = new Map<string, { event: EventRef; error: unknown; held: number }>()
  const folding = {}
  let events = 0

  const decode = (stored: StoredEvent): Decoded => {
    const { event, recorded } = decodeStored(stored)
    return { event, recorded, key: projection.key(event, recorded) }
  }

  const fold = ({ event, recorded, key }: Decoded, known: Known | undefined) => {
    if (key === undefined) return
    const after = projection.fold(known?.row, event, recorded, key)
    if (after === undefined || after === known?.row) return
    if (known?.folding === folding) {
      known.row = after
      return
    }
    const now = known ?? { row: after, stream: recorded.stream, folding }
    now.row = after
    now.folding = folding
    changed.push(now)
    if (rowsNeverChange) return
    memory.delete(key) // those that were changed last stand last: they are the last to be forgotten
    memory.set(key, now)
  }

  /** True for an event of a stream that is parked, which then waits. */
  const waits = ({ stream }: StoredEvent): boolean => {
    const parking = parkings.size > 0 ? parkings.get(stream) : undefined
    if (parking) parking.held += 1
    return parking !== undefined
  }

  const add: Folding['add'] = async (page, isParked) => {
    events += page.length
    const deferred: Deferred[] = []
    const deferredStreams = new Set<string>()
    const wanted = new Set<string>()
    const loaded = new Map<string, AnyRow>()
    // What can be folded at once is, so that decoded events die young; other streams wait until their rows are loaded.
    for (const stored of page) {
      const { stream } = stored
      if (isParked(stream)) {
        held.set(stream, (held.get(stream) ?? 0) + 1)
        continue
      }
      if (waits(stored)) continue
      try {
        const decoded = decode(stored)
        const { key } = decoded
        const known = key === undefined || rowsNeverChange ? undefined : memory.get(key)
        // Rows are folded from one stream, so before its first event there can be none.
        const isMissing = key !== undefined && !rowsNeverChange && !known && stored.revision !== 0n
        if (isMissing) wanted.add(key)
        if (isMissing || (deferredStreams.size > 0 && deferredStreams.has(stream))) {
          deferredStreams.add(stream)
          deferred.push({ stored, decoded })
        } else fold(decoded, known)
      } catch (error) {
        if (deferredStreams.has(stream)) deferred.push({ stored, error })
        else parkings.set(stream, { event: placeOf(stored), error, held: 0 })
      }
    }
    if (wanted.size > 0) for (const row of await load([...wanted])) loaded.set(row.id, row)
    for (const item of deferred) {
      const { stored } = item
      if (waits(stored)) continue
      try {
        if ('error' in item) throw item.error
        const { key, recorded } = item.decoded
        const row = key === undefined ? undefined : loaded.get(key)
        const known = key === undefined ? undefined : memory.get(key)
        fold(item.decoded, known ?? (row && { row, stream: recorded.stream, folding: undefined }))
      } catch (error) {
        parkings.set(stored.stream, { event: placeOf(stored), error, held: 0 })
      }
    }
  }

  return {
    add,
    count: () => events,
    finish: (position) => {
      // A copy: the next folding goes on with what is known while this step is being written.
      const rows = changed.map(({ row, stream }) => ({ row, stream }))
      return { position, events, rows, parkings: [...parkings.values()], held }
    },
  }
}
