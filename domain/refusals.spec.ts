import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type AggregateName, aggregates, type CommandOf, type EventOf, type StateOf } from './aggregates.ts'
import { anyCommand } from './commands.testing.ts'
import { type ErrorCode, errors, isRefusal } from './errors.ts'
import { isFinal, refusalSorts } from './refusals.ts'

type Decider<Name extends AggregateName> = {
  readonly initial: StateOf<Name>
  readonly decide: (command: CommandOf<Name>, state: StateOf<Name>) => unknown
  readonly evolve: (state: StateOf<Name>, event: EventOf<Name>) => StateOf<Name>
}

/** Codes that a later event may change where the aggregate has not come so far yet. Who asks then is not a saga: sagas
 *  and timers ask what was requested or active before. LISTING_UNKNOWN is final at the revision that was read. */
const earlier: Partial<Record<ErrorCode, readonly string[]>> = {
  LISTING_UNKNOWN: ['none'],
  RENTAL_NOT_REQUESTED: ['none'],
  RENTAL_NOT_ACTIVE: ['none', 'requested'],
  JOB_ATTEMPT_STALE: ['queued'],
}

/** Returns whether the command is of an attempt of a job that has not begun. */
const isAhead = (command: CommandOf<AggregateName>, state: StateOf<AggregateName>): boolean =>
  'attempt' in command && 'attempt' in state && command.attempt > state.attempt

test('every code has a sort, and no other has one', () => {
  expect(Object.keys(refusalSorts).sort()).toEqual(Object.keys(errors).sort())
})

describe.each(Object.keys(aggregates) as AggregateName[])('%s', (name) => {
  test('what is refused for good is refused at every later revision', () => {
    const { initial, decide, evolve } = aggregates[name] as unknown as Decider<AggregateName>
    fc.assert(
      fc.property(fc.array(anyCommand(name), { maxLength: 30, size: 'max' }), (commands) => {
        const refused: { command: CommandOf<AggregateName>; code: ErrorCode }[] = []
        let state = initial
        for (const command of commands) {
          for (const { command: before, code } of refused)
            if (!isRefusal(decide(before, state))) throw new Error(`${before.type} was ${code} and is accepted now`)
          const decided = decide(command, state)
          if (!isRefusal(decided)) state = (decided as EventOf<AggregateName>[]).reduce(evolve, state)
          else if (
            isFinal(decided.refused) &&
            !earlier[decided.refused]?.includes(state.status) &&
            !isAhead(command, state)
          )
            refused.push({ command, code: decided.refused })
        }
      }),
      { numRuns: 300 },
    )
  })
})
