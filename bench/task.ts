/** The database, and how much to do. `ready` lets the processes that wait for this one begin. */
export type Task<Parameters = Readonly<Record<string, number | string>>> = {
  readonly url: string
  readonly parameters: Parameters
  readonly ready: () => void
}

/** The results of a round, by names that the bench knows. Times are in milliseconds. */
export type Outcome = Readonly<Record<string, number | readonly number[]>>
