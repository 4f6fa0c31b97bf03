import type { StoredEvent } from '../../infra/event-store/port.ts'

/** One thing that must hold. `looked` says at how much was looked; it holds when nothing is complained about. */
export type Proof = {
  readonly name: string
  readonly looked: string
  /** One sentence each, with where it is wrong; the first ones, when there are many. */
  readonly complaints: readonly string[]
}

/** Is shown the whole log once, event by event in its order, and says at the end what it thinks of it. */
export type Examiner = {
  examine(event: StoredEvent): void | Promise<void>
  end(): Promise<Proof>
}

export type Complaints = {
  add(sentence: string): void
  list(): readonly string[]
}

const complaintsMax = 20

/** A defect may break a million things: the first ones tell it, and the rest is counted. */
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
