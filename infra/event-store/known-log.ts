import { type Details, Failure } from '../../domain/errors.ts'
import { sleep } from '../async/sleep.ts'
import type { Appended, NewEvent, StoredEvent } from './port.ts'

/** An event of the log, as far as another log differs from it: there, its position has another event or none. */
export type KnownEvent = Pick<StoredEvent, 'position' | 'id' | 'stream' | 'revision'>

/** An event that a place outside the log's database has kept. */
export type KeptEvent = { readonly event: KnownEvent; readonly place: string }

/** What this process knows of the log it has opened. A log that was put back to an earlier state, or replaced by another
 *  one, lacks the latest event that this process has read or had acknowledged. */
export type KnownLog = {
  /** Returns the event at the highest position; undefined before the first. */
  latest(): KnownEvent | undefined
  /** Adds an event that was read or acknowledged. An event below the latest one changes nothing. */
  add(event: KnownEvent): void
  /** Throws LOG_REPLACED when that was found before. */
  assertSame(): void
  /** Checks whether the log still has the latest event, for a caller with a reason to doubt it: a new connection, an
   *  answer behind what is known. Callers at the same time share one look. Throws LOG_REPLACED when the event is twice
   *  not there, and what looking throws. Once thrown, LOG_REPLACED stays. */
  look(): Promise<void>
  /** Aborts when it is closed. */
  readonly closed: AbortSignal
  close(): void
}

/** The time between the two looks: a server that has just begun to lead may not show all events at once. */
const pauseMsDefault = 2_000

/** Creates what a process knows of its log: nothing yet.
 *  @param isThere asks the leader whether an event is at its position; without one, whether it is the log that was
 *  opened. Throws when it cannot be known now.
 *  @param onReplaced called once, when the log was found to be another one. */
export const createKnownLog = ({
  isThere,
  onReplaced = () => undefined,
  pauseMs = pauseMsDefault,
}: {
  readonly isThere: (event: KnownEvent | undefined) => Promise<boolean>
  readonly onReplaced?: ((failure: Failure) => void) | undefined
  readonly pauseMs?: number | undefined
}): KnownLog => {
  const closing = new AbortController()
  let latest: KnownEvent | undefined
  let replaced: Failure | undefined
  let looking: Promise<void> | undefined

  const assertSame = () => {
    if (replaced) throw replaced
  }

  const lookTwice = async (): Promise<void> => {
    const event = latest
    if (await isTwiceMissing(() => isThere(event), { pauseMs, signal: closing.signal })) {
      replaced = new Failure('LOG_REPLACED', lackOf(event))
      onReplaced(replaced)
      throw replaced
    }
  }

  return {
    latest: () => latest,
    add: ({ position, id, stream, revision }) => {
      if (latest === undefined || position > latest.position) latest = { position, id, stream, revision }
    },
    assertSame,
    look: async () => {
      assertSame()
      looking ??= lookTwice().finally(() => {
        looking = undefined
      })
      await looking
    },
    closed: closing.signal,
    close: () => closing.abort(),
  }
}

const isTwiceMissing = async (
  isThere: () => Promise<boolean>,
  { pauseMs, signal }: { readonly pauseMs: number; readonly signal?: AbortSignal },
): Promise<boolean> => {
  if (await isThere()) return false
  await sleep(pauseMs, signal)
  if (signal?.aborted) throw new Failure('DATABASE_UNAVAILABLE', { reason: 'the event store is closed' })
  return !(await isThere())
}

/** Throws LOG_REPLACED when a log that is being opened lacks an event that was kept outside of it: twice, with a pause
 *  between. Throws what looking throws.
 *  @param isThere resolves to whether the event is there, also where there is no log at all. */
export const refuseLogWithout = async (
  { event, place }: KeptEvent,
  isThere: (event: KnownEvent) => Promise<boolean>,
  pauseMs = pauseMsDefault,
): Promise<void> => {
  if (await isTwiceMissing(() => isThere(event), { pauseMs }))
    throw new Failure('LOG_REPLACED', { ...lackOf(event), keptIn: place })
}

/** Returns the last event of each append that was acknowledged. */
export const acknowledgedBy = (
  appends: readonly { readonly stream: string; readonly events: readonly Pick<NewEvent, 'id'>[] }[],
  outcomes: readonly Appended[],
): readonly KnownEvent[] =>
  appends.flatMap(({ stream, events }, index) => {
    const [outcome, last] = [outcomes[index], events.at(-1)]
    return outcome && last ? [{ stream, id: last.id, revision: outcome.revision, position: outcome.position }] : []
  })

const lackOf = (event: KnownEvent | undefined): Details => {
  if (!event) return { lacks: 'the identity of the former log' }
  const { position, id, stream, revision } = event
  return { lacks: id, position, stream, revision: String(revision) }
}
