/** A timer or a handler of an event that has failed as often as it is tried. It stays until an operator decides. */
export type ParkedTask = {
  readonly key: string
  /** The name of its handler, such as `walk` or `meter`. */
  readonly task: string
  /** JSON. */
  readonly payload: string
  readonly attempts: number
  /** The message of its last error; undefined when its process was killed at the last attempt. */
  readonly error: string | undefined
  /** The moment of the last attempt, ISO 8601. */
  readonly since: string
}

/** What an operator may do with a parked task: try it again from the first attempt, or remove it. */
export type Decision = 'retry' | 'give up'

/** One decision as it is recorded. `by` is a wallet, `at` is ISO 8601. */
export type TaskDecision = ParkedTask & {
  readonly id: bigint
  readonly decision: Decision
  readonly by: string
  readonly reason: string
  readonly at: string
}

export type ParkedTasks = {
  /** Resolves to how many tasks are parked, by the name of their handler. May be a few seconds old. Throws
   *  DATABASE_UNAVAILABLE. */
  counts(): Promise<Readonly<Record<string, number>>>
  /** Resolves to the parked tasks, the longest parked first. */
  parked(limit: number): Promise<readonly ParkedTask[]>
  /** Carries a decision out and records it, both or neither. Resolves to the task, or to undefined when no task with
   *  this key is parked. */
  decide(
    key: string,
    decision: { readonly decision: Decision; readonly by: string; readonly reason: string },
  ): Promise<ParkedTask | undefined>
  /** Resolves to the decisions, the newest first. */
  decisions(limit: number): Promise<readonly TaskDecision[]>
}
