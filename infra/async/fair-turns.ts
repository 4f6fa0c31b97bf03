import { createFairQueue } from './fair-queue.ts'

/** Beside a crowd, what follows a turn is followed by so many times as much time without one, but at most by `restMsMax`. */
const restFactor = 3
const restMsMax = 50

/** Makes a function that resolves when it is the turn of the caller. The event loop gives so many turns each time that
 *  it goes round, one by default, so that it reads its sockets between two pieces of work; keys take turns in a circle,
 *  and those who wait under one key in their order. What follows a turn, up to its next wait for something outside, is
 *  the piece.
 *  @param isCrowded returns whether something has come that waits for the loop to go round. Then most of the time goes to
 *    rounds without a turn, which are short.
 *
 *  @example
 *  const turn = createFairTurns()
 *  await turn(address)
 *  validate(document) */
export const createFairTurns = ({
  perRound = 1,
  isCrowded = () => false,
  now = () => performance.now(),
}: {
  readonly perRound?: number
  readonly isCrowded?: () => boolean
  readonly now?: () => number
} = {}): ((key: string) => Promise<void>) => {
  const waiting = createFairQueue<() => void>()
  let isGiving = false
  /** When the last turns were given, until the round after. */
  let gaveMs: number | undefined
  let restUntilMs = 0
  const give = () => {
    const nowMs = now()
    if (gaveMs !== undefined) restUntilMs = nowMs + Math.min(restFactor * (nowMs - gaveMs), restMsMax)
    gaveMs = undefined
    if (waiting.isEmpty()) {
      isGiving = false
      return
    }
    // Made by a callback of the same kind, so it comes after the sockets were read.
    setImmediate(give)
    if (isCrowded() && nowMs < restUntilMs) return
    gaveMs = nowMs
    for (let given = 0; given < perRound; given += 1) waiting.next()?.()
  }
  return (key) =>
    new Promise((resolve) => {
      waiting.add(key, resolve)
      if (isGiving) return
      isGiving = true
      setImmediate(give)
    })
}
