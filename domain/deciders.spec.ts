// What holds for each aggregate alone, for any commands in any order:
//  1. The same command in the same state gets the same answer, and `decide` never throws.
//  2. Neither decide nor evolve changes its arguments.
//  3. The events that decide returns can be folded, stored and read back.
//  4. The lifecycle table of the aggregate lists what a command leads to, and a terminal status (a rejected or settled
//     rental, a finished job, a final payment) accepts no further event.
//  5. A listing's free GPUs are its GPUs less those that were reserved and not freed: never negative, never more
//     than it has.
//  6. No balance is negative, and the open holds add up to the held balance, per asset.
//  7. The captured, the released and the open part of every hold add up to the hold.
//  8. A rental's charge is the floor of its hourly rate times its run, its fees add up to the charge, and it never
//     runs longer than the rented time.
//  9. A job's attempts count up one by one to at most three, and its progress lies between 0 and 100.

import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import * as account from './account.ts'
import { type Aggregate, aggregates } from './aggregates.ts'
import { anyCommand } from './commands.testing.ts'
import { isRefusal } from './errors.ts'
import { decodeEvent, encodeEvent } from './events.ts'
import { attemptsMax } from './job.ts'
import { type AnyOutcome, describeOutcome, lifecycles, outcomeOf, terminalStatusesOf } from './lifecycle.testing.ts'
import type { Lifecycle } from './lifecycle.ts'
import * as listing from './listing.ts'
import { entriesOf, valuesOf } from './persistent-map.testing.ts'
import { hourlyRate } from './rental.ts'
import { must } from './world.testing.ts'

const commandsMax = 60
const runs = 200

// Not structuredClone: under Jest its maps and objects are of another realm, and equal nothing.
const copied = (value: unknown): unknown => {
  if (value instanceof Map) return new Map([...value].map(([key, entry]) => [key, copied(entry)]))
  if (Array.isArray(value)) return value.map(copied)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, copied(entry)]))
}

/** Sends random commands, ignores the refused ones, and calls `always` after every event. */
const holds = <
  Command extends { readonly type: string },
  Event extends { readonly type: string },
  State extends { readonly status: string },
>(
  { initial, decide, evolve, schemas }: Aggregate<Command, Event, State>,
  lifecycle: Lifecycle<Command, Event, State>,
  command: fc.Arbitrary<Command>,
  always: (after: State, before: State, history: readonly Event[]) => void,
) => {
  const table: Readonly<Record<string, Readonly<Record<string, readonly AnyOutcome[]>>>> = lifecycle
  const terminal = terminalStatusesOf(table)
  const seen = new Set<string>()
  test('random commands never break it', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: commandsMax, size: 'max' }), (sequence) => {
        const history: Event[] = []
        const last = sequence.reduce((state, next) => {
          const before = copied(state)
          const answer = decide(next, state)
          const events = isRefusal(answer) ? [] : answer
          if (!isDeepStrictEqual(decide(next, state), answer)) throw new Error('another answer the second time')
          const outcome = describeOutcome(outcomeOf({ decide, evolve }, next, state))
          if (!table[state.status]?.[next.type]?.map(describeOutcome).includes(outcome))
            throw new Error(`not in the lifecycle table: ${state.status} × ${next.type}: ${outcome}`)
          const after = events.reduce((current, event) => {
            const changed = evolve(current, event)
            const read = decodeEvent<Event>(schemas, JSON.parse(JSON.stringify(encodeEvent(schemas, event))))
            if (!isDeepStrictEqual(evolve(current, read), changed)) throw new Error(`${event.type} reads differently`)
            history.push(event)
            seen.add(event.type)
            always(changed, current, history)
            return changed
          }, state)
          if (!isDeepStrictEqual(before, state)) throw new Error('the state was changed in place')
          return after
        }, initial)
        if (!terminal.includes(last.status)) return
        const ofEachType = new Map(history.map((event) => [event.type, event])).values()
        for (const event of ofEachType) expect(() => evolve(last, event)).toThrow('History is corrupt')
      }),
      { numRuns: runs },
    )
    // A property that never gets anywhere proves nothing.
    expect([...seen].toSorted()).toStrictEqual(Object.keys(schemas).toSorted())
  })
}

const nothing = () => undefined

describe('provider', () => holds(aggregates.provider, lifecycles.provider, anyCommand('provider'), nothing))

describe('payment', () => holds(aggregates.payment, lifecycles.payment, anyCommand('payment'), nothing))

describe('listing', () =>
  holds(aggregates.listing, lifecycles.listing, anyCommand('listing'), (state, _, history) => {
    if (state.status === 'none') return
    const free = listing.freeGpus(state)
    const reserved = history.reduce((sum, event) => {
      if (event.type === 'CapacityReserved') return sum + event.gpuCount
      return event.type === 'CapacityFreed' ? sum - event.gpuCount : sum
    }, 0)
    must(free === state.gpuCount - reserved, `${free} GPUs are free, and ${reserved} of ${state.gpuCount} reserved`)
    must(free >= 0 && free <= state.gpuCount, `${free} of ${state.gpuCount} GPUs are free`)
    must(!valuesOf(state.reservations).some((gpus) => gpus < 1), 'a reservation is empty')
    const sum = valuesOf(state.reservations).reduce((all, gpus) => all + gpus, 0)
    must(sum === state.reservedGpus, 'the sum of the reservations is wrong')
  }))

describe('account', () =>
  holds(aggregates.account, lifecycles.account, anyCommand('account'), (state, _, history) => {
    if (state.status === 'none') return
    for (const asset of state.balances.keys()) {
      const { available, held } = account.balanceOf(state, asset)
      const open = valuesOf(state.holds).filter((hold) => hold.asset === asset)
      must(available >= 0n && held >= 0n, `a balance in ${asset} is negative`)
      must(open.reduce((sum, hold) => sum + hold.amount, 0n) === held, `the holds are not what is held in ${asset}`)
    }
    // By rental and asset, over all holds that the rental ever had.
    const left = new Map<string, bigint>()
    for (const event of history) {
      if (event.type !== 'FundsHeld' && event.type !== 'HoldCaptured' && event.type !== 'HoldReleased') continue
      const { amount, asset } = event.posting.amount
      const key = `${event.rental} ${asset}`
      left.set(key, (left.get(key) ?? 0n) + (event.type === 'FundsHeld' ? amount : -amount))
    }
    for (const [id, { amount, asset }] of entriesOf(state.holds))
      left.set(`${id} ${asset}`, (left.get(`${id} ${asset}`) ?? 0n) - amount)
    for (const [hold, amount] of left) must(amount === 0n, `the hold of ${hold} does not add up`)
  }))

describe('rental', () =>
  holds(aggregates.rental, lifecycles.rental, anyCommand('rental'), (state, before, history) => {
    if (!('charged' in state)) return
    must(state.charged.amount === (hourlyRate(state).amount * state.runSeconds) / 3600n, 'the charge is not the floor')
    const fees = history.reduce((sum, event) => sum + (event.type === 'UsageMetered' ? event.fee.amount : 0n), 0n)
    must(state.charged.amount === fees, 'the fees do not add up to the charge')
    must(state.runSeconds >= 0n && state.runSeconds <= state.seconds, 'it ran longer than was rented')
    must(!('charged' in before) || state.runSeconds >= before.runSeconds, 'it ran back in time')
  }))

describe('job', () =>
  holds(aggregates.job, lifecycles.job, anyCommand('job'), (state, before) => {
    if (state.status === 'none') return
    const previous = before.status === 'none' ? 0 : before.attempt
    must(state.attempt <= attemptsMax, 'it has too many attempts')
    must(state.attempt === previous || state.attempt === previous + 1, 'an attempt was left out')
    if (state.status === 'running') must(state.percent >= 0 && state.percent <= 100, `its progress is ${state.percent}`)
  }))
