// One user's money on the platform: the available part and the part that is held for rentals. Stream `account-<user>`.
import { type ErrorCode, mustBe, type Refusal, refuse } from './errors.ts'
import { chart, type Posting, posting } from './ledger.ts'
import { type Asset, exceeds, type Money, money, subtract } from './money.ts'
import { emptyMap, isIn, type PersistentMap, valueIn, withEntry, without } from './persistent-map.ts'

export type Command =
  | { readonly type: 'CreditDeposit'; readonly user: string; readonly payment: string; readonly amount: Money }
  | {
      readonly type: 'HoldFunds'
      readonly user: string
      readonly rental: string
      readonly amount: Money
      readonly at: string
      readonly notAfter: string
    }
  /** Takes the charge out of the hold and releases the rest, in one step. */
  | { readonly type: 'CaptureHold'; readonly rental: string; readonly charge: Money }
  | { readonly type: 'ReleaseHold'; readonly rental: string }
  | { readonly type: 'CreditEarnings'; readonly user: string; readonly rental: string; readonly amount: Money }

/** Every event that moves money is one balanced entry of the ledger by itself. A refused hold is an event of its
 *  own: another run of the same saga must get the same answer. */
export type Event =
  | { readonly type: 'DepositCredited'; readonly user: string; readonly payment: string; readonly posting: Posting }
  | { readonly type: 'FundsHeld'; readonly user: string; readonly rental: string; readonly posting: Posting }
  | {
      readonly type: 'HoldRefused'
      readonly user: string
      readonly rental: string
      readonly amount: Money
      readonly code: ErrorCode
    }
  | { readonly type: 'HoldCaptured'; readonly rental: string; readonly posting: Posting }
  | { readonly type: 'HoldReleased'; readonly rental: string; readonly posting: Posting }
  | { readonly type: 'EarningsCredited'; readonly user: string; readonly rental: string; readonly posting: Posting }

/** In minor units of one asset. */
export type Balance = { readonly available: bigint; readonly held: bigint }

/** `holds`: the remainder of each open hold, by rental. */
export type State =
  | { readonly status: 'none' }
  | {
      readonly status: 'open'
      readonly user: string
      readonly balances: ReadonlyMap<Asset, Balance>
      readonly holds: PersistentMap<Money>
    }

export const initial: State = { status: 'none' }

/** Returns the events that follow from a command, or a refusal. Pure. A hold that cannot be made is HoldRefused. */
export function decide(command: Command, state: State): Event[] | Refusal {
  switch (command.type) {
    case 'CreditDeposit': {
      const { user, payment, amount } = command
      if (amount.amount < 1n) return refuse('AMOUNT_INVALID')
      return [
        {
          type: 'DepositCredited',
          user,
          payment,
          posting: posting(chart.depositTransit(payment), chart.available(user), amount),
        },
      ]
    }
    case 'HoldFunds': {
      const { user, rental, amount } = command
      const refused = (code: ErrorCode): Event[] => [{ type: 'HoldRefused', user, rental, amount, code }]
      if (command.at > command.notAfter) return refused('DEADLINE_PASSED')
      if (amount.amount < 1n) return refused('AMOUNT_INVALID')
      if (state.status === 'open' && isIn(state.holds, rental)) return refused('HOLD_ALREADY_EXISTS')
      if (balanceOf(state, amount.asset).available < amount.amount) return refused('INSUFFICIENT_FUNDS')
      return [{ type: 'FundsHeld', user, rental, posting: posting(chart.available(user), chart.held(user), amount) }]
    }
    case 'CaptureHold': {
      const { rental, charge } = command
      const held = state.status === 'open' ? valueIn(state.holds, rental) : undefined
      if (state.status !== 'open' || !held) return refuse('HOLD_UNKNOWN', { rental })
      if (charge.amount < 0n) return refuse('AMOUNT_INVALID')
      if (charge.asset !== held.asset) return refuse('HOLD_UNKNOWN', { rental, asset: charge.asset })
      if (exceeds(charge, held))
        return refuse('HOLD_EXCEEDED', { held: String(held.amount), charge: String(charge.amount) })
      return [...captured(state.user, rental, charge), ...released(state.user, rental, subtract(held, charge))]
    }
    case 'ReleaseHold': {
      const { rental } = command
      const held = state.status === 'open' ? valueIn(state.holds, rental) : undefined
      if (state.status !== 'open' || !held) return refuse('HOLD_UNKNOWN', { rental })
      return released(state.user, rental, held)
    }
    case 'CreditEarnings': {
      const { user, rental, amount } = command
      if (amount.amount < 1n) return refuse('AMOUNT_INVALID')
      return [
        {
          type: 'EarningsCredited',
          user,
          rental,
          posting: posting(chart.rentalTransit(rental), chart.available(user), amount),
        },
      ]
    }
  }
}

const captured = (user: string, rental: string, charge: Money): Event[] =>
  charge.amount === 0n
    ? []
    : [{ type: 'HoldCaptured', rental, posting: posting(chart.held(user), chart.rentalTransit(rental), charge) }]

const released = (user: string, rental: string, rest: Money): Event[] =>
  rest.amount === 0n
    ? []
    : [{ type: 'HoldReleased', rental, posting: posting(chart.held(user), chart.available(user), rest) }]

/** Folds one event. Throws only for a corrupt history, one that `decide` cannot produce. */
export function evolve(state: State, event: Event): State {
  if (event.type === 'HoldRefused') return opened(state, event.user)
  const { amount, asset } = event.posting.amount
  switch (event.type) {
    case 'DepositCredited':
    case 'EarningsCredited':
      return moved(opened(state, event.user), asset, amount, 0n)
    case 'FundsHeld':
      return moved(mustBe(state, 'open'), asset, -amount, amount, { rental: event.rental, left: amount })
    case 'HoldCaptured':
    case 'HoldReleased': {
      const account = mustBe(state, 'open')
      const left = (valueIn(account.holds, event.rental)?.amount ?? 0n) - amount
      if (left < 0n) throw new Error(`History is corrupt: more left the hold of rental ${event.rental} than it held`)
      return moved(account, asset, event.type === 'HoldReleased' ? amount : 0n, -amount, { rental: event.rental, left })
    }
  }
}

type Open = Extract<State, { status: 'open' }>

const opened = (state: State, user: string): Open =>
  state.status === 'open' ? state : { status: 'open', user, balances: new Map(), holds: emptyMap }

/** Adds to the balance of one asset, and sets what is left of a hold. A hold with nothing left is closed. */
const moved = (
  account: Open,
  asset: Asset,
  available: bigint,
  held: bigint,
  hold?: { rental: string; left: bigint },
): Open => {
  const before = balanceOf(account, asset)
  const balances = new Map(account.balances).set(asset, {
    available: before.available + available,
    held: before.held + held,
  })
  if (!hold) return { ...account, balances }
  const { holds: open } = account
  const holds = hold.left === 0n ? without(open, hold.rental) : withEntry(open, hold.rental, money(hold.left, asset))
  return { ...account, balances, holds }
}

/** Returns the balance in one asset: zero for an asset that the account has never had. */
export const balanceOf = (state: State, asset: Asset): Balance =>
  (state.status === 'open' ? state.balances.get(asset) : undefined) ?? { available: 0n, held: 0n }
