import { Failure } from '../../domain/errors.ts'
import type { Append, Appended, AppendOutcome, EventStore } from '../../infra/event-store/port.ts'
import { type Journal, partsOf } from './journal.ts'

export type Answer = AppendOutcome | readonly Appended[]

export type Recorder = {
  /** Writes down that these appends are about to be sent together. Resolves to their number. */
  begin(appends: readonly Append[]): Promise<number>
  /** Sends them, and writes down the answer before it resolves. May be called again with the same number when the
   *  outcome was unknown. */
  send<A extends Answer>(n: number, work: () => Promise<A>): Promise<A>
}

/** Records each append to an event store and its answer, so that after a kill -9 at any moment every promise of the
 *  store is known. */
export const createRecorder = (journal: Journal, firstNumber: number): Recorder => {
  let next = firstNumber
  return {
    begin: async (appends) => {
      const n = next++
      await journal.write({ is: 'begun', n, parts: partsOf(appends) })
      return n
    },
    send: async (n, work) => {
      try {
        const answer = await work()
        await journal.write(lineOf(n, answer))
        return answer
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        const { code } = error
        await journal.write({ is: code === 'EVENT_INVALID' ? 'refused' : 'unknown', n, why: code })
        throw error
      }
    },
  }
}

const lineOf = (n: number, answer: Answer) => {
  if ('outcome' in answer && answer.outcome === 'conflict')
    return { is: 'refused', n, why: `conflict on ${answer.stream}` } as const
  if ('outcome' in answer && answer.outcome === 'ids known')
    return { is: 'refused', n, why: `ids ${answer.problem} on ${answer.stream}` } as const
  const all = 'outcome' in answer ? [answer] : answer
  return {
    is: 'stored',
    n,
    at: all.map(({ revision, position }) => [String(revision), position] as const),
    repeated: all.every(({ repeated }) => repeated),
  } as const
}

/** Returns the same store, whose appends are recorded. */
export const recordedStore = (store: EventStore, recorder: Recorder): EventStore => ({
  ...store,
  append: async (append) => recorder.send(await recorder.begin([append]), () => store.append(append)),
  appendToMany: async (appends) => recorder.send(await recorder.begin(appends), () => store.appendToMany(appends)),
})
