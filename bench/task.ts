/** Where and how much. `ready` says that whoever waits for it may begin. */
export type Task<Parameters = Readonly<Record<string, number | string>>> = {
  readonly url: string
  readonly parameters: Parameters
  readonly ready: () => void
}

/** What a round gave, by names that the bench knows. Times are in milliseconds. */
export type Outcome = Readonly<Record<string, number | readonly number[]>>
