import type { DomainEvent } from '../../domain/aggregates.ts'
import type { Position, StoredEvent } from '../../infra/event-store/port.ts'
import type { EventRef, Parking } from './parked-streams.ts'
import { decodeStored, type EventMetadata, type Projection } from './projection.ts'
import type { AnyRow } from './table.ts'

/** The result of folding a part of the log: the rows that it changes, each once, and the streams to park. */
export type FoldedBatch = {
  /** The end of the part. */
  readonly position: Position
  readonly events: number
  /** Each row with the stream that it is folded from. */
  readonly rows: readonly { readonly row: AnyRow; readonly stream: string }[]
  readonly parkings: readonly Parking[]
  /** True when the fold refused every stream of the part, and there were several. */
  readonly isAllRefused: boolean
  /** The number of events of each stream that was parked before. */
  readonly held: ReadonlyMap<string, number>
}

export type BatchFolder = {
  /** Folds the next page. `isParked` returns true for a stream that was parked before this batch. */
  add(events: readonly StoredEvent[], isParked: (stream: string) => boolean): Promise<void>
  count(): number
  /** Returns the batch that the pages make; nothing may be added afterwards. */
  finish(position: Position): FoldedBatch
}

/** A row in memory. `batch` identifies the batch that changed it last. */
type CachedRow = { row: AnyRow; readonly stream: string; batch: object | undefined }
/** Rows by key, over several batches one after the other. */
export type RowCache = Map<string, CachedRow>
/** Existing rows, and the error of each key that the database does not take. */
export type LoadedRows = { readonly rows: readonly AnyRow[]; readonly refused: ReadonlyMap<string, unknown> }

/** An event that waits until rows are loaded; with `error`, it could not be decoded. */
type Deferred = { readonly stored: StoredEvent } & ({ readonly decoded: Decoded } | { readonly error: unknown })
type Decoded = { readonly event: DomainEvent; readonly metadata: EventMetadata; readonly key: string | undefined }

/** Returns an event without its data. */
export const eventRefOf = ({ stream, revision, position, type }: StoredEvent): EventRef => ({
  stream,
  revision,
  position,
  type,
})

/** Creates a folder of pages of the log into one batch, in memory. Nothing of an event is kept once it is folded. An
 *  event that cannot be decoded or folded parks its stream: later events of that stream are counted and left out, other
 *  streams go on.
 *  @param cache rows by key; changed rows are put there too, behind all others.
 *  @param load resolves to the existing rows with these keys. */
export const createBatchFolder = (options: {
  readonly projection: Projection
  readonly cache: RowCache
  readonly load: (keys: readonly string[]) => Promise<LoadedRows>
}): BatchFolder => {
  const { projection, cache, load } = options
  const { rowsNeverChange } = projection
  const held = new Map<string, number>()
  const changed: CachedRow[] = []
  const parkings = new Map<string, { event: EventRef; error: unknown; held: number }>()
  const batch = {}
  let events = 0
  let isAnyFolded = false

  const decode = (stored: StoredEvent): Decoded => {
    const { event, metadata } = decodeStored(stored)
    return { event, metadata, key: projection.key(event, metadata) }
  }

  const fold = ({ event, metadata, key }: Decoded, cached: CachedRow | undefined) => {
    if (key === undefined) return
    const after = projection.fold(cached?.row, event, metadata, key)
    if (after === undefined || after === cached?.row) return
    if (cached?.batch === batch) {
      cached.row = after
      return
    }
    const now = cached ?? { row: after, stream: metadata.stream, batch }
    now.row = after
    now.batch = batch
    changed.push(now)
    if (rowsNeverChange) return
    cache.delete(key) // rows that were changed last come last in the map: they are evicted last
    cache.set(key, now)
  }

  /** Returns true for an event that waits because this batch parks its stream. */
  const isHeld = ({ stream }: StoredEvent): boolean => {
    const parking = parkings.size > 0 ? parkings.get(stream) : undefined
    if (parking) parking.held += 1
    return parking !== undefined
  }

  const add: BatchFolder['add'] = async (page, isParked) => {
    events += page.length
    const deferred: Deferred[] = []
    const deferredStreams = new Set<string>()
    const wanted = new Set<string>()
    const loaded = new Map<string, AnyRow>()
    let refused: ReadonlyMap<string, unknown> = new Map()
    // An event is folded at once if its row is there, so that decoded events die young; others wait until their rows
    // are loaded.
    for (const stored of page) {
      const { stream } = stored
      if (isParked(stream)) {
        held.set(stream, (held.get(stream) ?? 0) + 1)
        continue
      }
      if (isHeld(stored)) continue
      try {
        const decoded = decode(stored)
        const { key } = decoded
        const cached = key === undefined || rowsNeverChange ? undefined : cache.get(key)
        // A row is folded from one stream, so it cannot exist before the first event of that stream.
        const isMissing = key !== undefined && !rowsNeverChange && !cached && stored.revision !== 0n
        if (isMissing) wanted.add(key)
        if (isMissing || (deferredStreams.size > 0 && deferredStreams.has(stream))) {
          deferredStreams.add(stream)
          deferred.push({ stored, decoded })
        } else fold(decoded, cached)
      } catch (error) {
        if (deferredStreams.has(stream)) deferred.push({ stored, error })
        else parkings.set(stream, { event: eventRefOf(stored), error, held: 0 })
      }
    }
    if (wanted.size > 0) {
      const found = await load([...wanted])
      for (const row of found.rows) loaded.set(row.id, row)
      refused = found.refused
    }
    for (const item of deferred) {
      const { stored } = item
      if (isHeld(stored)) continue
      try {
        if ('error' in item) throw item.error
        const { key, metadata } = item.decoded
        if (key !== undefined && refused.has(key)) throw refused.get(key)
        const row = key === undefined ? undefined : loaded.get(key)
        const cached = key === undefined ? undefined : cache.get(key)
        fold(item.decoded, cached ?? (row && { row, stream: metadata.stream, batch: undefined }))
      } catch (error) {
        parkings.set(stored.stream, { event: eventRefOf(stored), error, held: 0 })
      }
    }
    isAnyFolded ||= page.some(({ stream }) => !parkings.has(stream) && !isParked(stream))
  }

  return {
    add,
    count: () => events,
    finish: (position) => {
      // A copy: the next batch changes the cached rows while this one is being written.
      const rows = changed.map(({ row, stream }) => ({ row, stream }))
      const isAllRefused = !isAnyFolded && parkings.size > 1
      return { position, events, rows, parkings: [...parkings.values()], isAllRefused, held }
    },
  }
}
