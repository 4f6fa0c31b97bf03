// What holds for each aggregate alone, whatever commands arrive in whatever order:
//  1. The same command in the same state gets the same answer, and no answer is an exception.
//  2. Neither decide nor evolve changes what it was given.
//  3. What decide answers can be folded, stored and read back.
//  4. A rejected or settled rental, an ended job and a final payment accept no further event.
//  5. A listing's free GPUs are what it has less what was reserved and not freed: never negative, never
//     more than it has.
//  6. No balance is negative, and the open holds add up to the held balance, per asset.
//  7. Every hold that was made was captured, released, or is still open: the three add up to it.
//  8. A rental's charge is the floor of its hourly rate times its run, its fees add
//     up to it, and it never runs longer than was rented.
//  9. A job's attempts count up one by one to no more than three, and its progress lies between 0 and 100.
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import * as account from './account.ts'
import { type Aggregate, type AggregateName, aggregates, type CommandOf } from './aggregates.ts'
import { type ErrorCode, isRefusal } from './errors.ts'
import { decodeEvent, encodeEvent } from './events.ts'
import { attemptsMax } from './job.ts'
import * as listing from './listing.ts'
import type { Asset, Money } from './money.ts'
import { type EndReason, hourlyRate } from './rental.ts'
import { must } from './world.testing.ts'

const commandsMax = 60
const runs = 200

// JSON gives plain objects back, so no other kind is sent.
const record = <T>(model: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true })
// Mostly what can be accepted, or no sequence would get far.
const mostly = <T>(usual: fc.Arbitrary<T>, seldom: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ arbitrary: usual, weight: 9 }, { arbitrary: seldom, weight: 1 })
const asset = mostly<Asset>(fc.constant('USDC/6'), fc.constant('USD/2'))
const amount: fc.Arbitrary<Money> = record({ amount: mostly(fc.bigInt(1n, 8n), fc.bigInt(-1n, 0n)), asset })
const price: fc.Arbitrary<Money> = record({
  amount: mostly(fc.constantFrom(900n, 3600n), fc.bigInt(-1n, 9000n)),
  asset,
})
const rental = fc.constantFrom('rental-1', 'rental-2', 'rental-3')
const user = fc.constant('ada')
const at = fc.constantFrom('2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.000Z', '2026-01-01T00:00:02.000Z')
const code: fc.Arbitrary<ErrorCode> = fc.constantFrom('LISTING_FULL', 'JOB_EXIT_NONZERO')
const gpuCount = mostly(fc.integer({ min: 1, max: 4 }), fc.integer({ min: -1, max: 0 }))
const seconds = mostly(fc.bigInt(1n, 5n), fc.bigInt(-1n, 9n))
const text = fc.string({ maxLength: 10 })
const attempt = mostly(fc.constantFrom(1, 1, 2, 3), fc.constantFrom(0, attemptsMax + 1))
const percent = mostly(fc.constantFrom(0, 12.5, 50, 100), fc.constantFrom(-1, 101, Number.NaN))
const reason = fc.constantFrom<EndReason>('returned', 'expired')
const line = record({
  eventId: user,
  description: text,
  seconds,
  amount: record({ amount: fc.bigInt(0n, 4n), asset }),
})
const is = <Type extends string>(type: Type): fc.Arbitrary<Type> => fc.constant(type)
const often = <T>(weight: number, arbitrary: fc.Arbitrary<T>) => ({ arbitrary, weight })

/** Any command of each aggregate, out of few ids and small amounts, so that they often meet. */
const commands: { readonly [Name in AggregateName]: fc.Arbitrary<CommandOf<Name>> } = {
  account: fc.oneof(
    record({ type: is('CreditDeposit'), user, payment: text.filter(Boolean), amount }),
    often(3, record({ type: is('HoldFunds'), user, rental, amount, at, notAfter: at })),
    often(2, record({ type: is('CaptureHold'), rental, charge: amount })),
    record({ type: is('ReleaseHold'), rental }),
    record({ type: is('CreditEarnings'), user, rental, amount }),
  ),
  job: fc.oneof(
    often(
      4,
      record({
        type: is('SubmitJob'),
        rental,
        renter: user,
        submittedAt: at,
        command: mostly<string[]>(fc.constant(['node', 'train.js']), fc.array(text, { maxLength: 2 })),
        files: fc.array(record({ path: mostly(fc.constant('a'), fc.constant('../b')), content: text }), {
          maxLength: 1,
        }),
        environment: fc.constant({}),
        timeoutSeconds: mostly(fc.constant(60), fc.constant(0)),
        cpuCores: mostly(fc.constant(1), fc.constant(0)),
        memoryMib: mostly(fc.constant(512), fc.constant(0)),
      }),
    ),
    often(6, record({ type: is('StartJob'), attempt, cluster: text, startedAt: at })),
    often(4, record({ type: is('InterruptJob'), attempt, reason: text, interruptedAt: at })),
    often(4, record({ type: is('ReportProgress'), attempt, percent, message: text, reportedAt: at })),
    record({ type: is('CompleteJob'), attempt, endedAt: at }),
    record({ type: is('FailJob'), attempt, code, message: text, endedAt: at }),
    record({ type: is('RequestStop'), reason: text, requestedAt: at }),
    record({ type: is('ConfirmStop'), attempt, endedAt: at }),
  ),
  listing: fc.oneof(
    often(
      3,
      record({
        type: is('ListGpus'),
        provider: user,
        gpu: text,
        gpuCount,
        vramMib: fc.nat(),
        vcpus: fc.nat(),
        memoryMib: fc.nat(),
        region: text,
        pricePerGpuHour: amount,
        listedAt: at,
      }),
    ),
    often(3, record({ type: is('ChangePrice'), pricePerGpuHour: amount })),
    often(16, record({ type: is('ReserveCapacity'), rental, gpuCount, maxPricePerGpuHour: amount, at, notAfter: at })),
    often(6, record({ type: is('FreeCapacity'), rental })),
    record({ type: is('WithdrawListing') }),
  ),
  payment: fc.oneof(
    often(
      3,
      record({
        type: is('ObserveDeposit'),
        payment: rental,
        user,
        amount,
        chainId: fc.nat(),
        transactionHash: fc.constant('0xdead'),
        blockNumber: fc.bigInt(0n, 9n),
        blockHash: fc.constantFrom('0xb1', '0xb2'),
      }),
    ),
    record({ type: is('FinalizeDeposit') }),
    often(3, record({ type: is('ReportDepositVanished') })),
  ),
  provider: fc.oneof(
    record({ type: is('RegisterProvider'), wallet: user, name: text, registeredAt: at }),
    record({ type: is('RenameProvider'), name: fc.constantFrom('', ' Grace ', 'Ada', 'x'.repeat(101)) }),
  ),
  rental: fc.oneof(
    often(
      4,
      record({
        type: is('RequestRental'),
        listing: user,
        renter: user,
        gpuCount,
        seconds,
        maxPricePerGpuHour: price,
        requestedAt: at,
      }),
    ),
    often(
      8,
      record({
        type: is('ActivateRental'),
        held: amount,
        provider: user,
        gpu: text,
        pricePerGpuHour: price,
        startedAt: at,
        endsAt: at,
      }),
    ),
    often(6, record({ type: is('MeterRental'), runSeconds: seconds, meteredAt: at })),
    often(3, record({ type: is('EndRental'), reason, runSeconds: seconds, endedAt: at })),
    often(
      12,
      record({ type: is('IssueInvoice'), lines: fc.array(line, { maxLength: 2 }), released: amount, issuedAt: at }),
    ),
    record({ type: is('RejectRental'), code, rejectedAt: at }),
  ),
}

// Not structuredClone: under Jest its maps and objects are of another realm, and equal nothing.
const copied = (value: unknown): unknown => {
  if (value instanceof Map) return new Map([...value].map(([key, entry]) => [key, copied(entry)]))
  if (Array.isArray(value)) return value.map(copied)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, copied(entry)]))
}

/** Sends random commands, ignores the refused ones, and looks at `always` after every event. */
const holds = <Command, Event extends { readonly type: string }, State extends { readonly status: string }>(
  { initial, decide, evolve, schemas }: Aggregate<Command, Event, State>,
  command: fc.Arbitrary<Command>,
  terminal: readonly State['status'][],
  always: (after: State, before: State, history: readonly Event[]) => void,
) => {
  const seen = new Set<string>()
  test('random commands never break it', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: commandsMax, size: 'max' }), (sequence) => {
        const history: Event[] = []
        const last = sequence.reduce((state, next) => {
          const before = copied(state)
          const answer = decide(next, state)
          const events = isRefusal(answer) ? [] : answer
          const over = terminal.includes(state.status)
          if (!isDeepStrictEqual(decide(next, state), answer)) throw new Error('another answer the second time')
          if (over && events.length > 0) throw new Error(`an event after ${state.status}`)
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

describe('provider', () => holds(aggregates.provider, commands.provider, [], nothing))

describe('payment', () => holds(aggregates.payment, commands.payment, ['final'], nothing))

describe('listing', () =>
  holds(aggregates.listing, commands.listing, [], (state, _, history) => {
    if (state.status === 'none') return
    const free = listing.freeGpus(state)
    const reserved = history.reduce((sum, event) => {
      if (event.type === 'CapacityReserved') return sum + event.gpuCount
      return event.type === 'CapacityFreed' ? sum - event.gpuCount : sum
    }, 0)
    must(free === state.gpuCount - reserved, `${free} GPUs are free, and ${reserved} of ${state.gpuCount} reserved`)
    must(free >= 0 && free <= state.gpuCount, `${free} of ${state.gpuCount} GPUs are free`)
    must(![...state.reservations.values()].some((gpus) => gpus < 1), 'a reservation is empty')
  }))

describe('account', () =>
  holds(aggregates.account, commands.account, [], (state, _, history) => {
    if (state.status === 'none') return
    for (const asset of state.balances.keys()) {
      const { available, held } = account.balanceOf(state, asset)
      const open = [...state.holds.values()].filter((hold) => hold.asset === asset)
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
    for (const [id, { amount, asset }] of state.holds)
      left.set(`${id} ${asset}`, (left.get(`${id} ${asset}`) ?? 0n) - amount)
    for (const [hold, amount] of left) must(amount === 0n, `the hold of ${hold} does not add up`)
  }))

describe('rental', () =>
  holds(aggregates.rental, commands.rental, ['rejected', 'settled'], (state, before, history) => {
    if (!('charged' in state)) return
    must(state.charged.amount === (hourlyRate(state).amount * state.runSeconds) / 3600n, 'the charge is not the floor')
    const fees = history.reduce((sum, event) => sum + (event.type === 'UsageMetered' ? event.fee.amount : 0n), 0n)
    must(state.charged.amount === fees, 'the fees do not add up to the charge')
    must(state.runSeconds >= 0n && state.runSeconds <= state.seconds, 'it ran longer than was rented')
    must(!('charged' in before) || state.runSeconds >= before.runSeconds, 'it ran back in time')
  }))

describe('job', () =>
  holds(aggregates.job, commands.job, ['succeeded', 'failed', 'stopped'], (state, before) => {
    if (state.status === 'none') return
    const previous = before.status === 'none' ? 0 : before.attempt
    must(state.attempt <= attemptsMax, 'it has too many attempts')
    must(state.attempt === previous || state.attempt === previous + 1, 'an attempt was left out')
    if (state.status === 'running') must(state.percent >= 0 && state.percent <= 100, `its progress is ${state.percent}`)
  }))
