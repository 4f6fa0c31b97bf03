import type { StoredEvent } from '../../infra/event-store/port.ts'

/** One thing that must hold. `looked` is how much was examined. It holds when there are no complaints. */
export type Proof = {
  readonly name: string
  readonly looked: string
  /** One sentence each, with the place in the log; the first ones, when there are many. */
  readonly complaints: readonly string[]
}

/** Gets the whole log once, event by event in its order, and returns its verdict at the end. */
export type Examiner = {
  examine(event: StoredEvent): void | Promise<void>
  end(): Promise<Proof>
}

export type Complaints = {
  add(sentence: string): void
  list(): readonly string[]
}

const complaintsMax = 20

/** Collects complaints. One defect may cause a million of them, so the first ones are kept and the rest is counted. */
export const createComplaints = (): Complaints => {
  const kept: string[] = []
  let count = 0
  return {
    add: (sentence) => {
      count += 1
      if (kept.length < complaintsMax) kept.push(sentence)
    },
    list: () => (count > kept.length ? [...kept, `and ${count - kept.length} more like these`] : kept),
  }
}

export const figure = (value: number | bigint): string => value.toLocaleString('en-US')
