import { rm } from 'node:fs/promises'
import type { EventStore, StoredEvent } from '../../infra/event-store/port.ts'
import { parseBoundary, readHistory } from '../history.ts'
import { columns, dayOf, rowOf, type Value } from './columns.ts'
import { asUnwritable, type DraftPart, type ExportFolder, type Manifest, openExportFolder } from './folder.ts'
import { type Format, openPart, type PartWriter } from './formats.ts'
import { createPrivacy, openPrivacy, type Privacy } from './personal.ts'

/** A round ends at the first of these limits, and its parts then get their names together. A killed run loses its last
 *  round, and the next run makes the same one again, because the content of a round follows from the log alone. */
export type Limits = {
  readonly roundEvents: number
  readonly roundBytes: number
  /** Days of a round: each has an open file. */
  readonly roundDays: number
  /** Rows of one day that are written as one group. */
  readonly groupEvents: number
  /** Bytes of all waiting rows together, beyond which every day is written. */
  readonly waitingBytes: number
  /** Events that are read at once. */
  readonly batchEvents: number
}
const limitsDefault: Limits = {
  roundEvents: 500_000,
  roundBytes: 512 * 1024 * 1024,
  roundDays: 200,
  groupEvents: 10_000,
  waitingBytes: 8 * 1024 * 1024,
  batchEvents: 1_000,
}

export type ExportOptions = {
  readonly out: string
  readonly format: Format
  /** The key of the pseudonyms; `undefined` exports personal data unchanged. */
  readonly pseudonymKey: string | undefined
  /** A position (the last one that is exported) or a moment (the export ends before its first event). */
  readonly to?: string | undefined
  readonly store: Pick<EventStore, 'start' | 'head' | 'parsePosition' | 'readAll' | 'distance'>
  readonly onProgress?: (done: number, events: number) => void
  readonly signal: AbortSignal
  readonly limits?: Partial<Limits>
}

export type ExportResult = { readonly events: number; readonly manifest: Manifest }

/** Extends the export in the folder to the end of the log, or to `to`. Every event is in it once, in the partition of
 *  its day; another run adds the events since.
 *  Throws the errors of openExportFolder, EXPORT_FOLDER_UNWRITABLE, EVENT_UNREADABLE, INPUT_INVALID, POSITION_FOREIGN,
 *  and the reason of the signal when it aborts. */
export const exportLog = async (options: ExportOptions): Promise<ExportResult> => {
  const { out, format, pseudonymKey, store } = options
  const privacy = pseudonymKey === undefined ? openPrivacy : createPrivacy(pseudonymKey)
  const terms = {
    format,
    personalData: pseudonymKey === undefined ? ('included' as const) : ('left out' as const),
    pseudonyms: pseudonymKey === undefined ? null : privacy.pseudonym('the key of this export'),
  }
  try {
    const folder = await openExportFolder(out, terms, store)
    try {
      return await writeRounds(folder, privacy, options)
    } finally {
      await folder.close()
    }
  } catch (error) {
    throw asUnwritable(out, error)
  }
}

const writeRounds = async (folder: ExportFolder, privacy: Privacy, options: ExportOptions): Promise<ExportResult> => {
  const { store, signal, onProgress, format } = options
  const limits = { ...limitsDefault, ...options.limits }
  const to = options.to === undefined ? undefined : parseBoundary('to', options.to, store)
  const end = to?.time === undefined ? Number.POSITIVE_INFINITY : Date.parse(to.time)
  const head = await store.head()
  const upTo = to?.position !== undefined && to.position < head ? to.position : head
  const after = store.parsePosition(folder.manifest().position)
  const whole = store.distance(store.start, upTo)
  const before = whole > 0 && after < upTo ? store.distance(store.start, after) / whole : 1
  const known = folder.manifest().events
  let events = 0
  const openRound = () => createRound({ folder, privacy, format, limits, firstNumber: known + events + 1 })
  let round = openRound()
  const commit = async () => {
    const last = round.last()
    if (last) await folder.commit(await round.finish(), last.position)
    round = openRound()
  }
  const write = async () => {
    for await (const batch of readHistory({ store, after, upTo, eventsMax: limits.batchEvents, signal })) {
      for (const stored of batch.events) {
        if (Date.parse(stored.metadata.time) >= end) return
        await round.add(stored)
        events++
        if (round.isFull()) await commit()
      }
      onProgress?.(before + (1 - before) * batch.done, events)
    }
  }
  onProgress?.(before, 0)
  try {
    await write()
    await commit()
  } catch (error) {
    await round.abandon()
    throw error
  }
  return { events, manifest: folder.manifest() }
}

/** The part of one day within a round. */
type Part = {
  readonly number: number
  readonly first: StoredEvent
  last: StoredEvent
  events: number
  waiting: (readonly Value[])[]
  writer: PartWriter | undefined
}

const dataColumn = columns.findIndex(({ name }) => name === 'data')
/** The size of a row without its data, roughly. */
const rowBytes = 400

const createRound = ({
  folder,
  privacy,
  format,
  limits,
  firstNumber,
}: {
  readonly folder: ExportFolder
  readonly privacy: Privacy
  readonly format: Format
  readonly limits: Limits
  readonly firstNumber: number
}) => {
  const parts = new Map<string, Part>()
  let last: StoredEvent | undefined
  let events = 0
  let bytes = 0
  let waitingBytes = 0

  const flush = async (day: string, part: Part) => {
    if (part.waiting.length === 0) return
    part.writer ??= await openPart(format, folder.draftOf(day))
    const rows = part.waiting
    part.waiting = []
    await part.writer.write(rows)
  }
  return {
    last: () => last,
    isFull: () => events >= limits.roundEvents || bytes >= limits.roundBytes || parts.size >= limits.roundDays,
    add: async (stored: StoredEvent) => {
      const day = dayOf(stored)
      const row = rowOf(stored, privacy)
      const part: Part = parts.get(day) ?? {
        number: firstNumber + events,
        first: stored,
        last: stored,
        events: 0,
        waiting: [],
        writer: undefined,
      }
      parts.set(day, part)
      part.last = stored
      part.events++
      part.waiting.push(row)
      last = stored
      events++
      const weight = String(row[dataColumn]).length + rowBytes
      bytes += weight
      waitingBytes += weight
      if (waitingBytes >= limits.waitingBytes) {
        for (const [each, waiting] of parts) await flush(each, waiting)
        waitingBytes = 0
      } else if (part.waiting.length >= limits.groupEvents) await flush(day, part)
    },
    finish: async () => {
      const written = []
      for (const [day, part] of parts) {
        await flush(day, part)
        const { number, events, writer } = part
        const draft: DraftPart = {
          draft: folder.draftOf(day),
          day,
          number,
          events,
          first: part.first.position,
          last: part.last.position,
        }
        if (writer) written.push({ ...draft, ...(await writer.finish()) })
      }
      return written
    },
    abandon: async () => {
      for (const [day, { writer }] of parts) {
        await writer?.abandon().catch(() => undefined)
        await rm(folder.draftOf(day), { force: true })
      }
    },
  }
}
