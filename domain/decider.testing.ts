// Given, when, then for deciders, used by the specs alone. It reads like a sentence:
// given(requested).when(activate).then(activated); given(ended).when(activate).refuses('RENTAL_NOT_REQUESTED', { … }).
import { expect } from '@jest/globals'
import { type Details, type ErrorCode, type Refusal, refuse } from './errors.ts'

/** What a decider is to its spec: an aggregate's module fits as it is. */
export type Decider<Command, Event, State> = {
  readonly initial: State
  readonly decide: (command: Command, state: State) => readonly Event[] | Refusal
  readonly evolve: (state: State, event: Event) => State
}

/** Binds the sentences to one aggregate: `const { given } = spec(rental)`. */
export const spec = <Command, Event, State>({ initial, decide, evolve }: Decider<Command, Event, State>) => ({
  /** Folds a history. `state` is what came out of it. Throws when that history could not have happened. */
  given: (...history: readonly Event[]) => {
    const state = history.reduce(evolve, initial)
    return {
      state,
      /** Each of these events, coming next, must be called a corruption of history. */
      cannotBeFollowedBy: (...events: readonly Event[]): void => {
        for (const event of events) expect(() => evolve(state, event)).toThrow('History is corrupt')
      },
      when: (command: Command) => {
        const answer = decide(command, state)
        return {
          /** Compares whole and in order; no argument: nothing new. The events must also fold. */
          // biome-ignore lint/suspicious/noThenProperty: it reads as a sentence, and nobody awaits it
          then: (...expected: readonly Event[]): void => {
            expect(answer).toStrictEqual(expected)
            expected.reduce(evolve, state)
          },
          /** Compares the code and all of the details. */
          refuses: (code: ErrorCode, details: Details = {}): void => {
            expect(answer).toStrictEqual(refuse(code, details))
          },
        }
      },
    }
  },
})
