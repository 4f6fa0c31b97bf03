import type { Command, Event, State } from './account.ts'
import type { Lifecycle } from './lifecycle.ts'

/** What each command leads to in each status of an account. */
export const lifecycle: Lifecycle<Command, Event, State> = {
  none: {
    CreditDeposit: [{ events: ['DepositCredited'], next: 'open' }, { refused: 'AMOUNT_INVALID' }],
    HoldFunds: [
      { events: ['HoldRefused'], next: 'open', refused: 'DEADLINE_PASSED' },
      { events: ['HoldRefused'], next: 'open', refused: 'AMOUNT_INVALID' },
      { events: ['HoldRefused'], next: 'open', refused: 'INSUFFICIENT_FUNDS' },
    ],
    CaptureHold: [{ refused: 'HOLD_UNKNOWN' }],
    ReleaseHold: [{ refused: 'HOLD_UNKNOWN' }],
    CreditEarnings: [{ events: ['EarningsCredited'], next: 'open' }, { refused: 'AMOUNT_INVALID' }],
  },
  open: {
    CreditDeposit: [{ events: ['DepositCredited'], next: 'open' }, { refused: 'AMOUNT_INVALID' }],
    HoldFunds: [
      { events: ['FundsHeld'], next: 'open' },
      { events: ['HoldRefused'], next: 'open', refused: 'DEADLINE_PASSED' },
      { events: ['HoldRefused'], next: 'open', refused: 'AMOUNT_INVALID' },
      { events: ['HoldRefused'], next: 'open', refused: 'HOLD_ALREADY_EXISTS' },
      { events: ['HoldRefused'], next: 'open', refused: 'INSUFFICIENT_FUNDS' },
    ],
    CaptureHold: [
      { events: ['HoldCaptured', 'HoldReleased'], next: 'open' },
      { events: ['HoldCaptured'], next: 'open' },
      { events: ['HoldReleased'], next: 'open' },
      { refused: 'HOLD_UNKNOWN' },
      { refused: 'AMOUNT_INVALID' },
      { refused: 'HOLD_EXCEEDED' },
    ],
    ReleaseHold: [{ events: ['HoldReleased'], next: 'open' }, { refused: 'HOLD_UNKNOWN' }],
    CreditEarnings: [{ events: ['EarningsCredited'], next: 'open' }, { refused: 'AMOUNT_INVALID' }],
  },
}
