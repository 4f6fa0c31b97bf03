// Given, when, then for deciders, for specs alone. A test reads like a sentence:
// given(requested).when(activate).then(activated); given(ended).when(activate).refuses('RENTAL_NOT_REQUESTED', { … }).
import { expect } from '@jest/globals'
import { type Details, type ErrorCode, type Refusal, refuse } from './errors.ts'

/** A decider, as its spec uses it. The module of an aggregate is one. */
export type Decider<Command, Event, State> = {
  readonly initial: State
  readonly decide: (command: Command, state: State) => readonly Event[] | Refusal
  readonly evolve: (state: State, event: Event) => State
}

/** Binds the sentences to one aggregate: `const { given } = spec(rental)`. */
export const spec = <Command, Event, State>({ initial, decide, evolve }: Decider<Command, Event, State>) => ({
  /** Folds a history into `state`. Throws for a corrupt history. */
  given: (...history: readonly Event[]) => {
    const state = history.reduce(evolve, initial)
    return {
      state,
      /** Expects that each of these events, as the next one, is a corrupt history. */
      cannotBeFollowedBy: (...events: readonly Event[]): void => {
        for (const event of events) expect(() => evolve(state, event)).toThrow('History is corrupt')
      },
      when: (command: Command) => {
        const answer = decide(command, state)
        return {
          /** Expects these events and no others, in this order; no argument means nothing new. The events must also
           *  fold. */
          // biome-ignore lint/suspicious/noThenProperty: it reads as a sentence, and is never awaited
          then: (...expected: readonly Event[]): void => {
            expect(answer).toStrictEqual(expected)
            expected.reduce(evolve, state)
          },
          /** Expects this code and exactly these details. */
          refuses: (code: ErrorCode, details: Details = {}): void => {
            expect(answer).toStrictEqual(refuse(code, details))
          },
        }
      },
    }
  },
})
