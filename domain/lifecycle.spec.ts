// Holds the lifecycle tables to the aggregates: in each status each command leads to the outcomes of the table and to
// no others, and each outcome of the table is met. The seed is fixed so that a rare outcome is met in every run; in
// deciders.spec.ts the same tables meet commands from a fresh seed.
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Aggregate, type AggregateName, aggregates } from './aggregates.ts'
import { anyCommand, commandsOf } from './commands.testing.ts'
import { isRefusal } from './errors.ts'
import { describeOutcome, lifecycles, outcomeOf, pairsOf } from './lifecycle.testing.ts'

type Command = { readonly type: string }
type State = { readonly status: string }

const seed = 1
const sequences = 300
const commandsMax = 60
const triesOfEachPair = 600

/** Returns the states that random commands lead to, also those between two events of one answer, by status. */
const statesOf = (name: AggregateName, { initial, decide, evolve }: Aggregate<Command, Command, State>) => {
  const sequence = fc.array<Command>(anyCommand(name), { maxLength: commandsMax, size: 'max' })
  const states = fc.sample(sequence, { seed, numRuns: sequences }).flatMap((commands) => {
    const met = [initial]
    for (const command of commands) {
      const before = met.at(-1) ?? initial
      const answer = decide(command, before)
      if (isRefusal(answer)) continue
      for (const event of answer) met.push(evolve(met.at(-1) ?? initial, event))
    }
    return met
  })
  return Map.groupBy(states, ({ status }) => status)
}

describe.each(Object.keys(lifecycles) as AggregateName[])('%s', (name) => {
  const aggregate = aggregates[name] as unknown as Aggregate<Command, Command, State>
  const commands = commandsOf[name] as Readonly<Record<string, fc.WeightedArbitrary<Command>>>
  const states = statesOf(name, aggregate)

  test.each(pairsOf(name).map((pair) => [pair.status, pair.command, pair] as const))(
    '%s × %s',
    (status, command, { outcomes }) => {
      const state = fc.constantFrom(...(states.get(status) ?? []))
      const tries = fc.sample(fc.tuple(state, commands[command]?.arbitrary ?? fc.constant({ type: command })), {
        seed,
        numRuns: triesOfEachPair,
      })
      const met = new Set(tries.map(([before, given]) => describeOutcome(outcomeOf(aggregate, given, before))))
      expect([...met].toSorted()).toEqual(outcomes.map(describeOutcome).toSorted())
    },
  )

  test('each command has a name that no other aggregate uses', () => {
    const others = (Object.keys(lifecycles) as AggregateName[]).filter((other) => other !== name)
    const theirs = new Set(others.flatMap(pairsOf).map(({ command }) => command))
    expect(Object.keys(commands).filter((command) => theirs.has(command))).toEqual([])
  })
})
