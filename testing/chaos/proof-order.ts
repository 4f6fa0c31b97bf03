import type { StoredEvent } from '../../infra/event-store/port.ts'
import { createComplaints, type Examiner, figure } from './proof.ts'

/** Checks that every stream has the revisions 0, 1, 2 … in the order of the log, and that positions rise. */
export const examineStreams = (): Examiner & { readonly streams: () => number; readonly events: () => number } => {
  const complaints = createComplaints()
  const lastRevisions = new Map<string, bigint>()
  let last = ''
  let events = 0
  return {
    streams: () => lastRevisions.size,
    events: () => events,
    examine: ({ stream, revision, position }) => {
      events += 1
      if (position <= last) complaints.add(`position ${position} comes after ${last}`)
      last = position
      const wanted = (lastRevisions.get(stream) ?? -1n) + 1n
      if (revision !== wanted)
        complaints.add(`${stream} has revision ${revision} at ${position}, where ${wanted} comes next`)
      if (revision >= wanted) lastRevisions.set(stream, revision)
    },
    end: async () => ({
      name: 'positions rise, each stream has its revisions without gap',
      looked: `${figure(events)} events in ${figure(lastRevisions.size)} streams`,
      complaints: complaints.list(),
    }),
  }
}

/** Returns the line that a tail writes when it receives an event. */
export const tailLineOf = ({ position, id }: Pick<StoredEvent, 'position' | 'id'>): string => `${position} ${id}`

/** Compares the log with what a tail received while it was written: each event once, in rising order, and none put
 *  below what the tail had received before. `lines` are the lines of the tail, as it wrote them. */
export const examineTail = (tail: string, lines: AsyncIterator<string>): Examiner => {
  const complaints = createComplaints()
  let seen = 0
  let last = ''
  let next: string | undefined
  let ended = false

  /** Reads the next line in rising order into `next`. */
  const read = async (): Promise<void> => {
    next = undefined
    while (next === undefined && !ended) {
      const result = await lines.next()
      if (result.done) {
        ended = true
        return
      }
      seen += 1
      const position = positionOf(result.value)
      if (position > last) next = result.value
      else complaints.add(`${tail} saw ${result.value} ${position === last ? 'twice' : `after ${last}`}`)
      if (position > last) last = position
    }
  }

  return {
    examine: async (event) => {
      const wanted = tailLineOf(event)
      if (next === undefined) await read()
      while (next !== undefined && next !== wanted && positionOf(next) <= event.position) {
        complaints.add(`${tail} saw ${next}, and the log has not`)
        await read()
      }
      if (next === wanted) next = undefined
      else if (next === undefined) complaints.add(`${tail} never saw ${wanted} of ${event.stream}`)
      else complaints.add(`${tail} did not see ${wanted} of ${event.stream}, but ${next} after it: put in below`)
    },
    end: async () => {
      if (next === undefined) await read()
      for (; next !== undefined; await read()) complaints.add(`${tail} saw ${next}, and the log has not`)
      return {
        name: `${tail} saw every event once, in the order of the log, as it was written`,
        looked: `${figure(seen)} events seen`,
        complaints: complaints.list(),
      }
    },
  }
}

const positionOf = (line: string): string => line.slice(0, line.indexOf(' '))
