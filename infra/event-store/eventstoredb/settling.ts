import { isFailure } from '../../../domain/errors.ts'
import { createBackoff } from '../../async/backoff.ts'
import { createSemaphore } from '../../async/semaphore.ts'
import type { Connection, WriteOutcome } from './client.ts'
import type { Turn } from './deadlines.ts'
import type { OutgoingEvent } from './events.ts'

/** How long an append is settled by default, from when its caller began to wait. */
export const settleMsDefault = 5_000
/** A server that answers at all does so sooner, unless it has too much to do. After this the stream shows whether the
 *  events are there, while the answer is still awaited: a server that dropped a repetition answers only after two
 *  seconds. */
const lookAfterMs = 1_000
/** How many streams are looked at at the same time while their answers are awaited: a server that is late has enough to
 *  do. */
const looksAtOnceMax = 8
const delays = { minMs: 50, maxMs: 500 }
/** Looks are repeated here. */
const once = { retry: false }

type Asked = readonly [stream: string, expected: bigint | 'no stream', events: readonly OutgoingEvent[]]

/** Appends at an exact revision, and settles an append whose outcome is open until its turn is over. */
export type Settle = (...asked: [...Asked, turn: Turn]) => Promise<WriteOutcome>

/** Creates the appends of a connection. Where an answer leaves open whether the events were written (the connection
 *  broke, the server gave up waiting for its followers, its leader steps down), the stream is read: the events are
 *  there, or others are in their place, or the same append is sent again, with the same ids at the same revision, which
 *  the server takes for one. */
export const createSettle = ({ append, readStream }: Pick<Connection, 'append' | 'readStream'>): Settle => {
  const limited = createSemaphore(looksAtOnceMax)

  /** Resolves to what stands in the stream where the events would be; to undefined when nothing does. */
  const look = async (...[stream, expected, events]: Asked): Promise<WriteOutcome | undefined> => {
    const first = expected === 'no stream' ? 0n : expected + 1n
    const { events: there, isCut } = await readStream(stream, 'forwards', first, events.length, once)
    const [found] = there
    if (!found) return undefined
    // All are written or none: of a page that is cut, those that came stand for the others.
    const isWhole = isCut || there.length === events.length
    if (isWhole && there.every(({ serverId }, index) => serverId === events[index]?.serverId)) {
      // A deleted stream goes on where it ended.
      const revision = found.revision + BigInt(events.length - 1)
      return { outcome: 'written', revision, position: isCut ? undefined : there.at(-1)?.position }
    }
    const [last] = (await readStream(stream, 'backwards', 'end', 1, once)).events
    return { outcome: 'conflict', actual: last?.revision }
  }

  const lookInTurn = (asked: Asked, over: AbortSignal) =>
    limited(async () => (over.aborted ? undefined : look(...asked).catch(() => undefined)))

  /** Resolves as soon as a look finds something, and never otherwise. */
  const lookAgainAndAgain = async (asked: Asked, over: AbortSignal): Promise<WriteOutcome> => {
    const backoff = createBackoff({ minMs: delays.minMs, maxMs: 4 * lookAfterMs })
    while (!over.aborted) {
      await backoff.pause(over)
      const found = await lookInTurn(asked, over)
      if (found) return found
    }
    return new Promise(() => undefined)
  }

  /** Settles an append whose first answer is awaited already. */
  const settle = async (asked: Asked, first: Promise<WriteOutcome>, turn: Turn) => {
    const over = turn.signal()
    const backoff = createBackoff(delays)
    for (let sent = first; ; sent = append(...asked, turn.isOver)) {
      const looking = new AbortController()
      try {
        return await Promise.race([sent, lookAgainAndAgain(asked, AbortSignal.any([looking.signal, over]))])
      } catch (error) {
        if ((sent === first ? !isOutage(error) : isFinal(error)) || over.aborted) throw error
        const found = await look(...asked).catch(() => undefined)
        if (found) return found
        await backoff.pause(over)
        if (over.aborted) throw error
      } finally {
        looking.abort()
      }
    }
  }

  return async (stream, expected, events, turn) => {
    const first = append(stream, expected, events, turn.isOver)
    // Nearly all are answered soon: they shall not pay for the ones that are not.
    return (await answerWithin(first, lookAfterMs)) ?? settle([stream, expected, events], first, turn)
  }
}

const isOutage = (error: unknown) => isFailure(error, 'DATABASE_UNAVAILABLE')
/** Returns whether the answer to an append that was sent again holds for the first time too. That it is denied now, for
 *  one, does not: the first may have been written. */
const isFinal = (error: unknown) =>
  isFailure(error, 'LOG_REPLACED') || isFailure(error, 'STREAM_DAMAGED') || isFailure(error, 'EVENT_INVALID')

/** Resolves to the answer, or to undefined when it is not there in time or the outcome is open. */
const answerWithin = (answer: Promise<WriteOutcome>, ms: number): Promise<WriteOutcome | undefined> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms, undefined)
    answer.then(
      (outcome) => {
        clearTimeout(timer)
        resolve(outcome)
      },
      (error) => {
        clearTimeout(timer)
        if (isOutage(error)) resolve(undefined)
        else reject(error)
      },
    )
  })
