// A deposit on chain, until it can be spent. Stream `payment-<deposit id of the contract>`.
// observed → final, or observed → vanished → observed … while the chain is reorganised.
import { mustBe, type Refusal, refuse } from './errors.ts'
import { chart, type Posting, posting } from './ledger.ts'
import type { Money } from './money.ts'

/** The place on chain where the deposit was seen. A reorganisation changes it; the payment stays the same. */
export type Sighting = {
  readonly chainId: number
  readonly transactionHash: string
  readonly blockNumber: bigint
  readonly blockHash: string
}

export type Command =
  | ({
      readonly type: 'ObserveDeposit'
      readonly payment: string
      readonly user: string
      readonly amount: Money
    } & Sighting)
  | { readonly type: 'FinalizeDeposit' }
  | { readonly type: 'ReportDepositVanished' }

export type Event =
  | ({
      readonly type: 'DepositObserved'
      readonly payment: string
      readonly user: string
      readonly amount: Money
    } & Sighting)
  | { readonly type: 'DepositFinalized'; readonly user: string; readonly posting: Posting }
  | { readonly type: 'DepositVanished' }

type Known = { readonly payment: string; readonly user: string; readonly amount: Money } & Sighting

export type State = { readonly status: 'none' } | ({ readonly status: 'observed' | 'vanished' | 'final' } & Known)

export const initial: State = { status: 'none' }

/** Returns the events that follow from a command, or a refusal. Pure. A repeated observation is nothing new. */
export function decide(command: Command, state: State): Event[] | Refusal {
  switch (command.type) {
    case 'ObserveDeposit': {
      if (command.amount.amount < 1n) return refuse('AMOUNT_INVALID')
      if (state.status === 'final') return []
      if (state.status === 'observed' && state.blockHash === command.blockHash) return []
      return [{ ...command, type: 'DepositObserved' }]
    }
    case 'FinalizeDeposit': {
      if (state.status === 'final') return refuse('PAYMENT_FINAL')
      if (state.status !== 'observed') return refuse('PAYMENT_UNKNOWN', { status: state.status })
      const { payment, user, amount, chainId } = state
      return [
        {
          type: 'DepositFinalized',
          user,
          posting: posting(chart.custody(chainId), chart.depositTransit(payment), amount),
        },
      ]
    }
    case 'ReportDepositVanished': {
      if (state.status === 'final') return refuse('PAYMENT_FINAL')
      if (state.status === 'none') return refuse('PAYMENT_UNKNOWN')
      return state.status === 'vanished' ? [] : [{ type: 'DepositVanished' }]
    }
  }
}

/** Folds one event. Throws only for a corrupt history, one that `decide` cannot produce. */
export function evolve(state: State, event: Event): State {
  switch (event.type) {
    case 'DepositObserved': {
      mustBe(state, 'none', 'observed', 'vanished')
      const { type, ...known } = event
      return { status: 'observed', ...known }
    }
    case 'DepositFinalized':
      return { ...mustBe(state, 'observed'), status: 'final' }
    case 'DepositVanished':
      return { ...mustBe(state, 'observed'), status: 'vanished' }
  }
}
