// The part of history that a replay folds.
//   --from   the result counts events from here on; lookup tables have all earlier ones
//   --to     history ends here
//   --as-of  history ends here as it does for `asOf` in the API
// A position is that of an event: --from begins after it, --to and --as-of end with it. A moment: --from begins with
// it, --to ends before it, so that periods join without a gap and without an overlap; --as-of includes the events at
// that moment.
import { Failure } from '../../domain/errors.ts'
import type { EventStore, Position, StoredEvent } from '../../infra/event-store/port.ts'
import { type LogBoundary, parseBoundary } from '../history.ts'

export type PeriodOptions = {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly asOf?: string | undefined
}

export type Period = {
  /** The events after this position are read, */
  readonly after: Position
  /** up to this one. */
  readonly upTo: Position
  /** Whether it ends at a moment: the last event of it is then known from reading. */
  readonly endsAtMoment: boolean
  /** Whether events of types that are not folded are read too. */
  readonly allTypes: boolean
  /** Returns whether an event belongs to history. To be called in the order of the log. */
  includes(event: StoredEvent): boolean | Promise<boolean>
  /** Returns whether the result counts the event; otherwise only lookup tables do. */
  counts(event: StoredEvent): boolean
}

const timeOf = ({ metadata }: StoredEvent): number => Date.parse(metadata.time)

/** Resolves to the period of the options. Throws INPUT_INVALID and POSITION_FOREIGN. */
export const readPeriod = async (
  { from, to, asOf }: PeriodOptions,
  store: Pick<EventStore, 'start' | 'head' | 'parsePosition' | 'readStream'>,
): Promise<Period> => {
  if (to !== undefined && asOf !== undefined)
    throw new Failure('INPUT_INVALID', { 'as-of': asOf, to, takes: 'one of the two' })
  const begin = from === undefined ? undefined : parseBoundary('from', from, store)
  const end = to === undefined ? undefined : parseBoundary('to', to, store)
  const then = asOf === undefined ? undefined : parseBoundary('as-of', asOf, store)
  const last = end?.position ?? then?.position
  if (begin !== undefined && end !== undefined && isEmpty(begin, end))
    throw new Failure('INPUT_INVALID', { from: from ?? '', to: to ?? '', takes: '--from before --to' })
  const head = await store.head()
  return {
    after: store.start,
    upTo: last !== undefined && last < head ? last : head,
    endsAtMoment: (end ?? then)?.time !== undefined,
    allTypes: then?.time !== undefined,
    includes: then?.time !== undefined ? knownAsOf(then.time, store) : before(end?.time),
    counts: (event) => {
      if (begin?.position !== undefined) return event.position > begin.position
      return begin === undefined || timeOf(event) >= Date.parse(begin.time)
    },
  }
}

/** Returns whether nothing can lie between two boundaries. Of a moment and a position this is not known. */
const isEmpty = (begin: LogBoundary, end: LogBoundary): boolean => {
  if (begin.position !== undefined) return end.position !== undefined && begin.position >= end.position
  return end.time !== undefined && Date.parse(begin.time) >= Date.parse(end.time)
}

const before = (time: string | undefined) => {
  const end = time === undefined ? Number.POSITIVE_INFINITY : Date.parse(time)
  return (event: StoredEvent): boolean => timeOf(event) < end
}

/** Cuts each stream as `asOf` in the API does: before its first later event. Until the first later event of the log,
 *  all events belong. After it, few events have an earlier time (a timer that fired late). Their streams are checked,
 *  because a later event may come before them. */
const knownAsOf = (time: string, store: Pick<EventStore, 'readStream'>) => {
  const moment = Date.parse(time)
  let wasLater = false
  return async (event: StoredEvent): Promise<boolean> => {
    if (timeOf(event) > moment) {
      wasLater = true
      return false
    }
    if (!wasLater) return true
    const known = store.readStream(event.stream, { from: event.revision, untilTime: time, limit: 1 })
    return (await known[Symbol.asyncIterator]().next()).done !== true
  }
}
