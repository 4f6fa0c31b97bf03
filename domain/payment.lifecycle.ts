import type { Lifecycle } from './lifecycle.ts'
import type { Command, Event, State } from './payment.ts'

/** What each command leads to in each status of a payment. */
export const lifecycle: Lifecycle<Command, Event, State> = {
  none: {
    ObserveDeposit: [{ events: ['DepositObserved'], next: 'observed' }, { refused: 'AMOUNT_INVALID' }],
    FinalizeDeposit: [{ refused: 'PAYMENT_UNKNOWN' }],
    ReportDepositVanished: [{ refused: 'PAYMENT_UNKNOWN' }],
  },
  observed: {
    ObserveDeposit: [{ events: ['DepositObserved'], next: 'observed' }, 'nothing new', { refused: 'AMOUNT_INVALID' }],
    FinalizeDeposit: [{ events: ['DepositFinalized'], next: 'final' }],
    ReportDepositVanished: [{ events: ['DepositVanished'], next: 'vanished' }],
  },
  vanished: {
    ObserveDeposit: [{ events: ['DepositObserved'], next: 'observed' }, { refused: 'AMOUNT_INVALID' }],
    FinalizeDeposit: [{ refused: 'PAYMENT_UNKNOWN' }],
    ReportDepositVanished: ['nothing new'],
  },
  final: {
    ObserveDeposit: ['nothing new', { refused: 'AMOUNT_INVALID' }],
    FinalizeDeposit: [{ refused: 'PAYMENT_FINAL' }],
    ReportDepositVanished: [{ refused: 'PAYMENT_FINAL' }],
  },
}
