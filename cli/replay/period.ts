// Which part of history a replay folds.
//   --from   what the result counts begins here; lookup tables know all that was before
//   --to     history ends here
//   --as-of  history ends here as it does for `asOf` in the API
// A position stands for its event: --from begins after it, --to and --as-of end with it. A moment: --from begins with it, --to
// ends before it, so that periods join without a gap and without an overlap; --as-of still knows what happened at it.
import { Failure } from '../../domain/errors.ts'
import type { EventStore, Position, StoredEvent } from '../../infra/event-store/port.ts'
import { parseBoundary } from '../history.ts'

export type PeriodOptions = {
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly asOf?: string | undefined
}

export type Period = {
  /** The events after this position... */
  readonly after: Position
  /** ...up to this one are looked at, */
  readonly upTo: Position
  /** also those of types that are not folded, */
  readonly allTypes: boolean
  /** and these are part of history. To be asked in the order of the log. */
  includes(event: StoredEvent): boolean | Promise<boolean>
  /** Whether the result counts the event, or it only is known. */
  counts(event: StoredEvent): boolean
}

const timeOf = ({ metadata }: StoredEvent): number => Date.parse(metadata.time)

/** Throws INPUT_INVALID and POSITION_FOREIGN. */
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
  const head = await store.head()
  return {
    after: store.start,
    upTo: last !== undefined && last < head ? last : head,
    allTypes: then?.time !== undefined,
    includes: then?.time !== undefined ? knownAsOf(then.time, store) : before(end?.time),
    counts: (event) => {
      if (begin?.position !== undefined) return event.position > begin.position
      return begin === undefined || timeOf(event) >= Date.parse(begin.time)
    },
  }
}

const before = (time: string | undefined) => {
  const end = time === undefined ? Number.POSITIVE_INFINITY : Date.parse(time)
  return (event: StoredEvent): boolean => timeOf(event) < end
}

/** As `asOf` in the API sees each stream: it ends before its first event that is later. In the order of the log nothing
 *  needs to be asked until the first later event of all; from then on, of the few whose time still lies before it (a timer that
 *  fired late), whether their stream had gone on. */
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
