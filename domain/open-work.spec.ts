// What an event costs must not grow with what is open: an account may have tens of thousands of holds.
import { describe, expect, test } from '@jest/globals'
import * as account from './account.ts'
import { isRefusal } from './errors.ts'
import * as listing from './listing.ts'
import { money } from './money.ts'

const usdc = (amount: bigint) => money(amount, 'USDC/6')
const at = '2026-01-01T00:00:00.000Z'

const objectsOf = (value: unknown, seen = new Set<unknown>()): Set<unknown> => {
  if (typeof value !== 'object' || value === null || seen.has(value)) return seen
  seen.add(value)
  for (const part of value instanceof Map ? value.entries() : Object.values(value)) objectsOf(part, seen)
  return seen
}

type Decider<Command, State, Event> = {
  readonly decide: (command: Command, state: State) => Event[] | { readonly refused: string }
  readonly evolve: (state: State, event: Event) => State
}

const after = <Command, State, Event>(
  { decide, evolve }: Decider<Command, State, Event>,
  from: State,
  commands: readonly Command[],
): State =>
  commands.reduce((state, command) => {
    const events = decide(command, state)
    if (!Array.isArray(events)) throw new Error(`refused: ${isRefusal(events) && events.refused}`)
    return events.reduce(evolve, state)
  }, from)

/** Returns how many objects the state after a command has that the state before did not have. */
const made = <Command, State, Event>(decider: Decider<Command, State, Event>, before: State, command: Command) => {
  const known = objectsOf(before)
  return [...objectsOf(after(decider, before, [command]))].filter((part) => !known.has(part)).length
}

/** A thousand entries need a level of the map less than 30,000: that much may grow, and nothing else. */
const [few, many] = [1_000, 30_000]
const growthMax = 6

describe('the cost of a command does not grow with', () => {
  test('the open holds of an account', () => {
    const hold = (rental: string) =>
      ({ type: 'HoldFunds', user: 'ada', rental, amount: usdc(1n), at, notAfter: at }) as const
    const open = (count: number) =>
      after<account.Command, account.State, account.Event>(account, account.initial, [
        { type: 'CreditDeposit', user: 'ada', payment: 'p', amount: usdc(1_000_000n) },
        ...Array.from({ length: count }, (_, index) => hold(`rental-${index}`)),
      ])
    const [little, much] = [open(few), open(many)]
    for (const command of [hold('new'), { type: 'ReleaseHold', rental: 'rental-7' } as const])
      expect(made(account, much, command)).toBeLessThanOrEqual(made(account, little, command) + growthMax)
  })

  test('the reservations of a listing', () => {
    const reserve = (rental: string) =>
      ({ type: 'ReserveCapacity', rental, gpuCount: 1, maxPricePerGpuHour: usdc(1n), at, notAfter: at }) as const
    const size = { gpu: 'H100', vramMib: 1, vcpus: 1, memoryMib: 1, region: 'NO', gpuCount: 1_000_000 }
    const open = (count: number) =>
      after<listing.Command, listing.State, listing.Event>(listing, listing.initial, [
        { type: 'ListGpus', provider: 'ada', ...size, pricePerGpuHour: usdc(1n), listedAt: at },
        ...Array.from({ length: count }, (_, index) => reserve(`rental-${index}`)),
      ])
    const [little, much] = [open(few), open(many)]
    for (const command of [reserve('new'), { type: 'FreeCapacity', rental: 'rental-7' } as const])
      expect(made(listing, much, command)).toBeLessThanOrEqual(made(listing, little, command) + growthMax)
  })
})
