import type { NewEvent } from '../../infra/event-store/port.ts'
import { clockMs } from '../connect.ts'
import { eventAt } from '../events.ts'

export type Stream = { readonly perSecond: number; readonly events: number; readonly round: number }

/** Returns event number n. Its number is part of its data, so that the receiver knows which one it is. */
export const numbered = (n: number): NewEvent => {
  const event = eventAt(n, 2)
  return { ...event, data: { ...(event.data as object), runSeconds: String(n) } }
}

export const numberOf = (data: unknown): number => Number((data as { runSeconds: string }).runSeconds)

/** Spreads the events over 50 rentals, so that neighbours do not wait for each other. */
export const rentalOf = (n: number): number => n % 50

/** Appends at a steady rate, whether answers come or not: waiting for each answer would hide delays. Resolves, when all
 *  are acknowledged, to the moment at which each was sent. */
export const appendSteadily = async (
  { perSecond, events }: Stream,
  append: (n: number) => Promise<unknown>,
): Promise<number[]> => {
  const asked: number[] = []
  const answers: Promise<unknown>[] = []
  const begun = clockMs()
  await new Promise<void>((resolve, reject) => {
    const timer = setInterval(() => {
      const due = Math.min(events, Math.floor(((clockMs() - begun) * perSecond) / 1000))
      while (asked.length < due) {
        const n = asked.length
        asked.push(clockMs())
        const answer = append(n)
        answer.catch((error: unknown) => {
          clearInterval(timer)
          reject(error)
        })
        answers.push(answer)
      }
      if (asked.length < events) return
      clearInterval(timer)
      resolve()
    }, 1)
  })
  await Promise.all(answers)
  return asked
}

/** Notes when each number is received for the first time; `all` resolves when none is missing. */
export const createReceiver = (events: number) => {
  const received: number[] = new Array(events).fill(Number.NaN)
  const all = Promise.withResolvers<void>()
  let missing = events
  let last = Number.POSITIVE_INFINITY
  return {
    received: received as readonly number[],
    missing: () => missing,
    /** Returns the milliseconds since something new was received; below zero before the first. */
    silentMs: () => clockMs() - last,
    all: all.promise,
    receive: (data: unknown) => {
      const n = numberOf(data)
      if (!Number.isNaN(received[n])) return
      received[n] = clockMs()
      last = received[n]
      missing -= 1
      if (missing === 0) all.resolve()
    },
  }
}
