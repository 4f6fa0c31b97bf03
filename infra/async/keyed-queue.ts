export type Keyed = { readonly keys: readonly string[] }

export type KeyedQueue<Work extends Keyed> = {
  /** Enters the queues of all its keys, which differ. Returns true when nothing is before it, so that it may start. */
  enter(work: Work): boolean
  /** Leaves all its queues. Returns the pieces that may start now. */
  leave(work: Work): Work[]
}

/** Creates a queue. Work with the same key runs one after the other, in order; work with different keys runs at the
 *  same time. A piece enters the queues of all its keys in one step, so no two pieces wait for each other.
 *
 *  @example
 *  const queue = createKeyedQueue<{ keys: string[]; run(): Promise<void> }>()
 *  const start = async (work) => {
 *    await work.run()
 *    for (const next of queue.leave(work)) void start(next)
 *  }
 *  if (queue.enter(work)) void start(work) // else another piece with one of its keys starts it */
export const createKeyedQueue = <Work extends Keyed>(): KeyedQueue<Work> => {
  /** By key. Most keys have one piece alone, for which no set is made. */
  const queues = new Map<string, Work | Set<Work>>()
  /** How many queues a piece is not yet first in. */
  const behind = new Map<Work, number>()

  const enterOne = (key: string, work: Work): boolean => {
    const queue = queues.get(key)
    if (queue === undefined) queues.set(key, work)
    else if (queue instanceof Set) queue.add(work)
    else queues.set(key, new Set([queue, work]))
    return queue === undefined
  }

  /** Returns the piece that is first now. */
  const leaveOne = (key: string, work: Work): Work | undefined => {
    const queue = queues.get(key)
    if (!(queue instanceof Set)) {
      queues.delete(key)
      return undefined
    }
    queue.delete(work)
    const next: Work | undefined = queue.values().next().value
    if (next !== undefined && queue.size === 1) queues.set(key, next)
    return next
  }

  return {
    enter: (work) => {
      let others = 0
      for (const key of work.keys) if (!enterOne(key, work)) others += 1
      if (others > 0) behind.set(work, others)
      return others === 0
    },
    leave: (work) => {
      const ready: Work[] = []
      for (const key of work.keys) {
        const next = leaveOne(key, work)
        if (next === undefined) continue
        const left = (behind.get(next) ?? 1) - 1
        if (left > 0) behind.set(next, left)
        else {
          behind.delete(next)
          ready.push(next)
        }
      }
      return ready
    },
  }
}

export type KeyedRunner = {
  <Result>(key: string, work: () => Promise<Result>): Promise<Result>
  /** Begins work under several keys before it returns. Returns undefined, and begins nothing, when one of the keys has
   *  work: so no work ever waits for one key while it keeps others from theirs. */
  now<Result>(keys: readonly string[], work: () => Promise<Result>): Promise<Result> | undefined
}

/** Makes a function that runs work of the same key one after the other, in the order of the calls, and work of
 *  different keys at once. Resolves and throws as the work does; work that fails does not hold up the work behind it.
 *
 *  @example
 *  const inOrder = createKeyedRunner()
 *  await Promise.all([
 *    inOrder('rental-1', () => append(first)),
 *    inOrder('rental-1', () => append(second)), // after the first
 *    inOrder('rental-2', () => append(third)), // at once
 *  ]) */
export const createKeyedRunner = (): KeyedRunner => {
  const last = new Map<string, Promise<unknown>>()
  const run = async <Result>(
    keys: readonly string[],
    begin: (before: Promise<unknown> | undefined) => Promise<Result>,
  ): Promise<Result> => {
    const running = begin(last.get(keys[0] ?? ''))
    for (const key of keys) last.set(key, running)
    try {
      return await running
    } finally {
      for (const key of keys) if (last.get(key) === running) last.delete(key)
    }
  }
  return Object.assign(
    <Result>(key: string, work: () => Promise<Result>) =>
      run([key], (before = Promise.resolve()) => before.then(work, work)),
    {
      now: <Result>(keys: readonly string[], work: () => Promise<Result>) =>
        keys.some((key) => last.has(key)) ? undefined : run(keys, work),
    },
  )
}
