// What holds for the marketplace as a whole, after every single event, for any mix of deposits, rentals and mistakes:
//  1. No listing is over-rented: the active rentals on it, and the reservations, never exceed its GPUs.
//  2. No available and no held balance is negative.
//  3. Every event that moves money is balanced: the chart adds up to zero per asset.
//  4. The chart and the accounts agree on the money of each user.
//  5. A transit account never pays out more than was paid in.
//  6. Every hold: captured + released + still open = held.
//  7. A rental's charge is floor(rate × run seconds / 3600), and never more than its hold.
// And once every saga has finished:
//  8. Every rental is settled or rejected, its hold closed, its GPUs free, its earnings paid: all transit
//     accounts are empty.
//  9. The money of all users equals what the contract holds for them, to the last minor unit.
// What holds for a single aggregate, for any commands, is in deciders.spec.ts.
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import * as account from './account.ts'
import { aggregates, type DomainEvent } from './aggregates.ts'
import { collectInvoiceLines } from './invoice-lines.ts'
import { freeGpus } from './listing.ts'
import { type Asset, assets, costAtMost, type Money, money } from './money.ts'
import { hourlyRate, type Event as RentalEvent } from './rental.ts'
import { createWorld, must, type World } from './world.testing.ts'

const runs = 700
const actionsMax = 150
const sagaStepsMax = 11

const listings = ['listing-1', 'listing-2', 'listing-3'] as const
const renters = ['ada', 'bob'] as const
const provider = 'grace'
const rentals = ['rental-1', 'rental-2', 'rental-3', 'rental-4', 'rental-5'] as const
const payments = ['payment-1', 'payment-2', 'payment-3', 'payment-4'] as const
const chainId = 31_337
const at = '2026-01-01T00:00:00.000Z'
const later = '2026-01-01T00:00:30.000Z'

type Action =
  | { does: 'list'; listing: string; gpuCount: number; price: Money }
  | { does: 'change price'; listing: string; price: Money }
  | { does: 'withdraw'; listing: string }
  | { does: 'observe'; payment: string; user: string; amount: Money; blockHash: string }
  | { does: 'finalize' | 'vanish' | 'credit'; payment: string }
  | { does: 'request'; rental: string; renter: string; listing: string; gpuCount: number; seconds: bigint; max: Money }
  /** The next step of a rental's sagas, in time or too late. */
  | { does: 'step'; rental: string; late: boolean }
  | { does: 'meter' | 'end'; rental: string; runSeconds: bigint }
  | { does: 'admit' | 'close'; rental: string; job: string }
  /** Every step of a finished rental once more, with new command ids. */
  | { does: 'repeat'; rental: string }

const anyListing = fc.constantFrom(...listings)
const anyRental = fc.constantFrom(...rentals)
const anyPayment = fc.constantFrom(...payments)
const anyRenter = fc.constantFrom(...renters)
const gpuCount = fc.integer({ min: 1, max: 4 })
const price = fc.record({
  amount: fc.bigInt(1n, 4000n),
  asset: fc.constantFrom<Asset>('USDC/6', 'USDC/6', 'USDC/6', 'USD/2'),
})
const seconds = fc.bigInt(0n, 7200n)
const does = <Name extends Action['does']>(...names: Name[]) => fc.constantFrom(...names)
const often = (weight: number, arbitrary: fc.Arbitrary<Action>) => ({ weight, arbitrary })
const action: fc.Arbitrary<Action> = fc.oneof(
  often(3, fc.record({ does: does('list'), listing: anyListing, gpuCount, price })),
  often(1, fc.record({ does: does('change price'), listing: anyListing, price })),
  often(
    6,
    fc.record({
      does: does('observe'),
      payment: anyPayment,
      user: anyRenter,
      amount: price.map(({ amount, asset }) => money(amount * 8n, asset)),
      blockHash: fc.constantFrom('0xb1', '0xb2'),
    }),
  ),
  often(8, fc.record({ does: does('finalize', 'credit', 'credit', 'vanish'), payment: anyPayment })),
  often(
    6,
    fc.record({
      does: does('request'),
      rental: anyRental,
      renter: anyRenter,
      listing: anyListing,
      gpuCount,
      seconds,
      max: price.map(({ amount, asset }) => money(amount * 20n, asset)),
    }),
  ),
  often(40, fc.record({ does: does('step'), rental: anyRental, late: fc.nat(29).map((n) => n === 29) })),
  often(8, fc.record({ does: does('meter', 'meter', 'end'), rental: anyRental, runSeconds: fc.bigInt(0n, 9000n) })),
  often(
    6,
    fc.record({ does: does('admit', 'admit', 'close'), rental: anyRental, job: fc.constantFrom('job-1', 'job-2') }),
  ),
  often(2, fc.record({ does: does('repeat'), rental: anyRental })),
  { weight: 1, arbitrary: fc.record({ does: does('withdraw'), listing: anyListing }) },
)

// Two listings and two deposits, or few rentals would ever begin.
const opening: fc.Arbitrary<Action[]> = fc
  .tuple(gpuCount, price, gpuCount, price, price)
  .map(([first, firstPrice, second, secondPrice, wealth]) => [
    { does: 'list', listing: 'listing-1', gpuCount: first, price: firstPrice },
    { does: 'list', listing: 'listing-2', gpuCount: second, price: secondPrice },
    ...renters.flatMap((user, index): Action[] => {
      const payment = `payment-${index + 1}`
      const amount = money(wealth.amount * 32n, wealth.asset)
      return [
        { does: 'observe', payment, user, amount, blockHash: '0xb1' },
        { does: 'finalize', payment },
        { does: 'credit', payment },
      ]
    }),
  ])

const offer = { provider, gpu: 'H100', vramMib: 81_559, vcpus: 32, memoryMib: 262_144, region: 'eu-north' }
const ending = { type: 'EndRental', reason: 'returned', endedAt: at } as const
const sighting = { chainId, transactionHash: '0xdead', blockNumber: 1n }

/** Runs the next step of a rental, as the sagas of processes/ do: reserve, hold, activate, or reject and compensate;
 *  and after the end capture, pay, free, invoice. Every step has a command id. Returns the number of new events. */
const runStep = ({ states, to, eventsOf, openHold, log }: World, id: string, late = false): number => {
  const lease = states.rental.get(id)
  if (!lease || lease.status === 'none') return 0
  const deadline = { at: late ? later : at, notAfter: at }
  const events = eventsOf(id)
  const reserved = events.find((event) => event.type === 'CapacityReserved')
  const held = events.find((event) => event.type === 'FundsHeld')
  const refused = events.find((event) => event.type === 'CapacityRefused' || event.type === 'HoldRefused')
  const stepId = (step: string) => `${step} ${id}`
  if (lease.status === 'requested') {
    const { gpuCount, maxPricePerGpuHour, renter, seconds } = lease
    const code = states.listing.has(lease.listing) ? refused?.code : 'LISTING_UNKNOWN'
    if (code) return to.rental(id, { type: 'RejectRental', code, rejectedAt: at })
    if (!reserved) {
      const reserve = { type: 'ReserveCapacity', rental: id, gpuCount, maxPricePerGpuHour, ...deadline } as const
      return to.listing(lease.listing, reserve, stepId('reserve'))
    }
    const { pricePerGpuHour } = reserved
    const amount = costAtMost(hourlyRate(reserved), seconds)
    if (!held)
      return to.account(renter, { type: 'HoldFunds', user: renter, rental: id, amount, ...deadline }, stepId('hold'))
    const terms = {
      provider,
      gpu: reserved.gpu,
      pricePerGpuHour,
      held: held.posting.amount,
      startedAt: at,
      endsAt: later,
    }
    return to.rental(id, { type: 'ActivateRental', ...terms })
  }
  if (lease.status === 'rejected') {
    const freed = reserved ? to.listing(lease.listing, { type: 'FreeCapacity', rental: id }, stepId('undo reserve')) : 0
    return freed + (held ? to.account(lease.renter, { type: 'ReleaseHold', rental: id }, stepId('undo hold')) : 0)
  }
  if (lease.status === 'ending') {
    const [job] = lease.openJobs.keys()
    if (job === undefined) return to.rental(id, { type: 'CompleteEnd', runSeconds: 1800n })
    must(to.rental(id, { type: 'CompleteEnd', runSeconds: 1800n }) === 0, `${id} ended before its last job`)
    return to.rental(id, { type: 'CloseJob', job, closedAt: later })
  }
  if (lease.status === 'ended') {
    const { charged, renter } = lease
    const done = (step: string) => events.some((event) => event.type === step)
    const earned = { type: 'CreditEarnings', user: provider, rental: id, amount: charged } as const
    if (openHold(id).length > 0)
      return to.account(renter, { type: 'CaptureHold', rental: id, charge: charged }, stepId('capture'))
    if (charged.amount > 0n && !done('EarningsCredited')) return to.account(provider, earned, stepId('pay'))
    if (!done('CapacityFreed')) return to.listing(lease.listing, { type: 'FreeCapacity', rental: id }, stepId('free'))
    const { add, lines } = collectInvoiceLines()
    for (const [index, { id: stream, event }] of log.entries())
      if (stream === id && event.type in aggregates.rental.schemas) add(event as RentalEvent, `event-${index}`)
    return to.rental(id, { type: 'IssueInvoice', lines: lines(), released: money(0n, charged.asset), issuedAt: at })
  }
  return 0
}

/** Sends the commands of a finished rental again, and more. No event may follow. */
const repeat = (world: World, id: string): number => {
  const { states, to } = world
  const lease = states.rental.get(id)
  if (lease?.status !== 'settled' && lease?.status !== 'rejected') return 0
  runStep(world, id)
  const charge = 'charged' in lease ? lease.charged : money(0n, 'USDC/6')
  const newEvents =
    to.account(lease.renter, { type: 'CaptureHold', rental: id, charge }) +
    to.account(lease.renter, { type: 'ReleaseHold', rental: id }) +
    to.listing(lease.listing, { type: 'FreeCapacity', rental: id }) +
    to.rental(id, { type: 'MeterRental', runSeconds: 9000n, meteredAt: at }) +
    to.rental(id, { ...ending, runSeconds: 9000n }) +
    to.rental(id, { type: 'AdmitJob', job: 'job-3', graceSeconds: 30, admittedAt: at }) +
    to.rental(id, { type: 'CloseJob', job: 'job-1', closedAt: at }) +
    to.rental(id, { type: 'CompleteEnd', runSeconds: 9000n }) +
    to.rental(id, { type: 'RejectRental', code: 'LISTING_FULL', rejectedAt: at }) +
    to.rental(id, { type: 'IssueInvoice', lines: [], released: charge, issuedAt: at })
  must(newEvents === 0, `an event followed for ${id}, which is ${lease.status}`)
  return newEvents
}

const act = (world: World, action: Action): number => {
  const { to, states } = world
  switch (action.does) {
    case 'list': {
      const { gpuCount, price } = action
      return to.listing(action.listing, { type: 'ListGpus', gpuCount, pricePerGpuHour: price, listedAt: at, ...offer })
    }
    case 'change price':
      return to.listing(action.listing, { type: 'ChangePrice', pricePerGpuHour: action.price })
    case 'withdraw':
      return to.listing(action.listing, { type: 'WithdrawListing' })
    case 'observe': {
      const { payment, user, amount, blockHash } = action
      return to.payment(payment, { type: 'ObserveDeposit', payment, user, amount, blockHash, ...sighting })
    }
    case 'finalize':
      return to.payment(action.payment, { type: 'FinalizeDeposit' })
    case 'vanish':
      return to.payment(action.payment, { type: 'ReportDepositVanished' })
    case 'credit': {
      const deposit = states.payment.get(action.payment)
      if (deposit?.status !== 'final') return 0
      const { payment, user, amount } = deposit
      return to.account(user, { type: 'CreditDeposit', user, payment, amount }, `credit ${payment}`)
    }
    case 'request': {
      const { rental, renter, listing, gpuCount, seconds, max: maxPricePerGpuHour } = action
      const request = { renter, listing, gpuCount, seconds, maxPricePerGpuHour, requestedAt: at }
      return to.rental(rental, { type: 'RequestRental', ...request })
    }
    case 'step':
      return runStep(world, action.rental, action.late)
    case 'meter':
      return to.rental(action.rental, { type: 'MeterRental', runSeconds: action.runSeconds, meteredAt: at })
    case 'end':
      return to.rental(action.rental, { ...ending, runSeconds: action.runSeconds })
    case 'admit':
      return to.rental(action.rental, { type: 'AdmitJob', job: action.job, graceSeconds: 30, admittedAt: at })
    case 'close':
      return to.rental(action.rental, { type: 'CloseJob', job: action.job, closedAt: at })
    case 'repeat':
      return repeat(world, action.rental)
  }
}

/** Finishes all sagas, as the platform does after a restart. */
const finish = (world: World): void => {
  for (const payment of payments)
    for (const step of ['finalize', 'credit'] as const) act(world, { does: step, payment })
  for (const rental of rentals) {
    for (let step = 0; step < sagaStepsMax; step++) runStep(world, rental)
    act(world, { does: 'end', rental, runSeconds: 1800n })
    for (let step = 0; step < sagaStepsMax; step++) runStep(world, rental)
  }
}

const checkTheEnd = ({ states, chartFigures, accountOf, openHold }: World): void => {
  for (const [id, lease] of states.rental) {
    must(lease.status === 'settled' || lease.status === 'rejected', `${id} is still ${lease.status}`)
    must(openHold(id).length === 0, `${id} still holds money`)
  }
  for (const [id, offer] of states.listing)
    must(offer.status !== 'none' && freeGpus(offer) === offer.gpuCount, `${id} still has a reservation`)
  for (const [name, figures] of chartFigures)
    for (const amount of figures.values()) must(!name.startsWith('transit:') || amount === 0n, `${name} is not empty`)
  for (const asset of assets) {
    const owned = [...renters, provider].map((user) => account.balanceOf(accountOf(user), asset))
    const custody = chartFigures.get(`custody:${chainId}`)?.get(asset) ?? 0n
    must(custody === owned.reduce((sum, { available, held }) => sum + available + held, 0n), `${asset} does not add up`)
  }
}

test('the books of the marketplace are right after any sequence of actions', () => {
  const seen = new Set<DomainEvent['type']>()
  fc.assert(
    fc.property(opening, fc.array(action, { maxLength: actionsMax, size: 'max' }), (first, actions) => {
      const world = createWorld()
      for (const next of [...first, ...actions]) act(world, next)
      finish(world)
      checkTheEnd(world)
      for (const { event } of world.log) seen.add(event.type)
    }),
    { numRuns: runs },
  )
  // A property that never gets anywhere proves nothing.
  const { account, listing, payment, rental } = aggregates
  const all = [account, listing, payment, rental].flatMap(({ schemas }) => Object.keys(schemas))
  expect([...seen].toSorted()).toStrictEqual(all.toSorted())
})
