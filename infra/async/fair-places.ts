export type FairPlacesOptions = {
  /** How much work runs at the same time, and how much of it for one key. */
  readonly atOnceMax: number
  readonly perKeyMax: number
  /** How much work waits, and how much of it for one key. */
  readonly waitingMax: number
  readonly waitingPerKeyMax: number
  /** How long work waits. */
  readonly waitMsMax: number
}

type Line = { running: number; readonly waiting: Set<() => void> }

/** Makes a function that runs work in one of a few places, which keys take in a circle: so a key with much work leaves
 *  the places beyond its share to others. Resolves and throws as the work does. Resolves to undefined, and does not run
 *  it, when too much waits, of the key or in all, or when it has waited too long.
 *
 *  @example
 *  const inPlace = createFairPlaces({
 *    atOnceMax: 2,
 *    perKeyMax: 1,
 *    waitingMax: 100,
 *    waitingPerKeyMax: 4,
 *    waitMsMax: 20_000,
 *  })
 *  const answer = await inPlace(address, () => ask(node)) */
export const createFairPlaces = ({
  atOnceMax,
  perKeyMax,
  waitingMax,
  waitingPerKeyMax,
  waitMsMax,
}: FairPlacesOptions): (<Result>(key: string, work: () => Promise<Result>) => Promise<Result | undefined>) => {
  /** By key, the one first whose turn was longest ago. */
  const lines = new Map<string, Line>()
  let [free, waiting] = [atOnceMax, 0]

  const forget = (key: string, { running, waiting: own }: Line) => {
    if (running === 0 && own.size === 0) lines.delete(key)
  }
  /** Resolves to whether the work may begin, which then has a place. */
  const wait = (key: string, line: Line): Promise<boolean> =>
    new Promise((resolve) => {
      const leave = (mayBegin: boolean) => {
        clearTimeout(timer)
        line.waiting.delete(begin)
        waiting -= 1
        resolve(mayBegin)
        forget(key, line)
      }
      const begin = () => {
        free -= 1
        line.running += 1
        leave(true)
      }
      const timer = setTimeout(() => leave(false), waitMsMax)
      line.waiting.add(begin)
      waiting += 1
    })
  const fill = () => {
    // A key that is entered again stands last, and is met again in the same round.
    for (const [key, line] of lines) {
      if (free === 0) return
      const [begin] = line.waiting
      if (begin === undefined || line.running >= perKeyMax) continue
      lines.delete(key)
      lines.set(key, line)
      begin()
    }
  }

  return async (key, work) => {
    const line = lines.get(key) ?? { running: 0, waiting: new Set() }
    const hasPlace = free > 0 && line.running < perKeyMax
    if (!hasPlace && (waiting >= waitingMax || line.waiting.size >= waitingPerKeyMax)) return undefined
    lines.set(key, line)
    const turn = wait(key, line)
    fill()
    if (!(await turn)) return undefined
    try {
      return await work()
    } finally {
      free += 1
      line.running -= 1
      // Behind keys that came while it ran.
      lines.delete(key)
      lines.set(key, line)
      forget(key, line)
      fill()
    }
  }
}
