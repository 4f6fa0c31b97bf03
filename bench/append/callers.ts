import { newId } from '../../commands/ids.ts'
import type { NewEvent } from '../../infra/event-store/port.ts'
import { eventAt, streamOf } from '../events.ts'
import { createRate } from '../statistics.ts'

export type Load = {
  /** How many wait for an answer at the same time, each for one. */
  readonly callers: number
  readonly eventsPerAppend: number
  readonly warmUpMs: number
  readonly measureMs: number
  /** Streams of another round must be others where the database is the same. */
  readonly round: number
}

/** A caller then begins the next stream: rentals have dozens of events, not millions. */
const appendsPerStream = 20
const bodies = 512
/** More than a caller appends, and more than a log has that was filled before. */
const streamsOfCaller = 1_000_000

/** Appends with every caller to its own stream, at the revision after its previous append, as a command does.
 *  Resolves to the events per second that were acknowledged, after the warm-up. */
export const appendForAWhile = async (
  { callers, eventsPerAppend, round, ...times }: Load,
  append: (stream: string, revision: number, events: readonly NewEvent[]) => Promise<unknown>,
): Promise<number> => {
  // Made before the clock starts, so that making them costs no time. The id is drawn each time, in the order of time as
  // the platform's are: that is part of an append.
  const made = Array.from({ length: bodies }, (_, n) => eventAt(n, 2 + (n % 200)))
  const next = (n: number): NewEvent => {
    const event = made[n % bodies]
    if (event === undefined) throw new Error('there are no events')
    return { ...event, id: newId() }
  }
  const acknowledged = createRate(times)
  const call = async (caller: number): Promise<void> => {
    for (let turn = 0; !acknowledged.isOver(); turn += 1) {
      const stream = streamOf((1 + round * callers + caller) * streamsOfCaller + Math.floor(turn / appendsPerStream))
      const revision = (turn % appendsPerStream) * eventsPerAppend - 1
      const events = Array.from({ length: eventsPerAppend }, (_, n) => next(caller * 37 + turn * eventsPerAppend + n))
      await append(stream, revision, events)
      acknowledged.done(eventsPerAppend)
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)))
  return acknowledged.perSecond()
}
