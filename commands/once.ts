import { createBoundedMap, registerBound } from '../infra/async/bounded.ts'

const worksDone = registerBound({
  name: 'work done once',
  holds: 'The outcomes of the sagas that ran last, so that their events do not run them again.',
  whenFull: 'evicts the oldest',
  entriesMax: 10_000,
})

/** Does work under a key: see `createOnce`. */
export type Once = <Result>(key: string, work: () => Promise<Result>) => Promise<Result>

/** Creates a memory of work that leads to the same result however often it is done: calls with the same key share what
 *  is under way, and later ones get its result, as long as it is remembered. Work that throws is forgotten. */
export const createOnce = (): Once => {
  const done = createBoundedMap<Promise<unknown>>(worksDone)
  return <Result>(key: string, work: () => Promise<Result>): Promise<Result> => {
    const before = done.get(key) as Promise<Result> | undefined
    if (before) return before
    const doing = work()
    done.set(key, doing)
    doing.catch(() => {
      if (done.get(key) === doing) done.delete(key)
    })
    return doing
  }
}
