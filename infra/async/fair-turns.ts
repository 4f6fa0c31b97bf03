/** Makes a function that resolves when it is the turn of the caller. The event loop gives so many turns each time that
 *  it goes round, one by default, so that it reads its sockets between two pieces of work; keys take turns in a circle,
 *  and those who wait under one key in their order. What follows a turn, up to its next wait for something outside, is
 *  the piece.
 *
 *  @example
 *  const turn = createFairTurns()
 *  await turn(address)
 *  validate(document) */
export const createFairTurns = ({
  perRound = 1,
}: {
  readonly perRound?: number
} = {}): ((key: string) => Promise<void>) => {
  const waiting = new Map<string, (() => void)[]>()
  let isGiving = false
  const next = (): (() => void) | undefined => {
    const [first] = waiting
    if (first === undefined) return undefined
    const [key, queue] = first
    const begin = queue.shift()
    waiting.delete(key)
    if (queue.length > 0) waiting.set(key, queue)
    return begin
  }
  const give = () => {
    if (waiting.size === 0) {
      isGiving = false
      return
    }
    // Made by a callback of the same kind, so it comes after the sockets were read.
    setImmediate(give)
    for (let given = 0; given < perRound; given += 1) next()?.()
  }
  return (key) =>
    new Promise((resolve) => {
      const queue = waiting.get(key)
      if (queue) queue.push(resolve)
      else waiting.set(key, [resolve])
      if (isGiving) return
      isGiving = true
      setImmediate(give)
    })
}
