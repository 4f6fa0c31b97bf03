import type { Lifecycle, LifecycleRow } from './lifecycle.ts'
import type { Command, Event, State } from './rental.ts'

const finished: LifecycleRow<Command, Event, State> = {
  RequestRental: [{ refused: 'RENTAL_ALREADY_REQUESTED' }],
  ActivateRental: [{ refused: 'RENTAL_NOT_REQUESTED' }],
  RejectRental: [{ refused: 'RENTAL_NOT_REQUESTED' }],
  MeterRental: [{ refused: 'RENTAL_NOT_ACTIVE' }],
  AdmitJob: [{ refused: 'RENTAL_NOT_ACTIVE' }],
  CloseJob: ['nothing new'],
  EndRental: [{ refused: 'RENTAL_NOT_ACTIVE' }],
  CompleteEnd: [{ refused: 'RENTAL_NOT_ENDING' }],
  IssueInvoice: [{ refused: 'RENTAL_NOT_ENDED' }],
}

/** What each command leads to in each status of a rental. */
export const lifecycle: Lifecycle<Command, Event, State> = {
  none: {
    RequestRental: [{ events: ['RentalRequested'], next: 'requested' }, { refused: 'RENTAL_INVALID' }],
    ActivateRental: [{ refused: 'RENTAL_NOT_REQUESTED' }],
    RejectRental: [{ refused: 'RENTAL_NOT_REQUESTED' }],
    MeterRental: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    AdmitJob: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    CloseJob: ['nothing new'],
    EndRental: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    CompleteEnd: [{ refused: 'RENTAL_NOT_ENDING' }],
    IssueInvoice: [{ refused: 'RENTAL_NOT_ENDED' }],
  },
  requested: {
    RequestRental: [{ refused: 'RENTAL_ALREADY_REQUESTED' }],
    ActivateRental: [
      { events: ['RentalActivated'], next: 'active' },
      { refused: 'PRICE_ABOVE_MAXIMUM' },
      { refused: 'DEADLINE_PASSED' },
    ],
    RejectRental: [{ events: ['RentalRejected'], next: 'rejected' }],
    MeterRental: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    AdmitJob: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    CloseJob: ['nothing new'],
    EndRental: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    CompleteEnd: [{ refused: 'RENTAL_NOT_ENDING' }],
    IssueInvoice: [{ refused: 'RENTAL_NOT_ENDED' }],
  },
  rejected: finished,
  active: {
    RequestRental: [{ refused: 'RENTAL_ALREADY_REQUESTED' }],
    ActivateRental: [{ refused: 'RENTAL_NOT_REQUESTED' }],
    RejectRental: [{ refused: 'RENTAL_NOT_REQUESTED' }],
    MeterRental: [{ events: ['UsageMetered'], next: 'active' }, 'nothing new'],
    AdmitJob: [{ events: ['RentalJobAdmitted'], next: 'active' }, 'nothing new'],
    CloseJob: [{ events: ['RentalJobClosed'], next: 'active' }, 'nothing new'],
    EndRental: [
      { events: ['UsageMetered', 'RentalEnded'], next: 'ended' },
      { events: ['RentalEnded'], next: 'ended' },
      { events: ['RentalEndRequested'], next: 'ending' },
    ],
    CompleteEnd: [{ refused: 'RENTAL_NOT_ENDING' }],
    IssueInvoice: [{ refused: 'RENTAL_NOT_ENDED' }],
  },
  ending: {
    RequestRental: [{ refused: 'RENTAL_ALREADY_REQUESTED' }],
    ActivateRental: [{ refused: 'RENTAL_NOT_REQUESTED' }],
    RejectRental: [{ refused: 'RENTAL_NOT_REQUESTED' }],
    MeterRental: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    AdmitJob: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    CloseJob: [{ events: ['RentalJobClosed'], next: 'ending' }, 'nothing new'],
    EndRental: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    CompleteEnd: [
      { events: ['UsageMetered', 'RentalEnded'], next: 'ended' },
      { events: ['RentalEnded'], next: 'ended' },
      { refused: 'RENTAL_JOBS_OPEN' },
    ],
    IssueInvoice: [{ refused: 'RENTAL_NOT_ENDED' }],
  },
  ended: {
    RequestRental: [{ refused: 'RENTAL_ALREADY_REQUESTED' }],
    ActivateRental: [{ refused: 'RENTAL_NOT_REQUESTED' }],
    RejectRental: [{ refused: 'RENTAL_NOT_REQUESTED' }],
    MeterRental: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    AdmitJob: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    CloseJob: ['nothing new'],
    EndRental: [{ refused: 'RENTAL_NOT_ACTIVE' }],
    CompleteEnd: [{ refused: 'RENTAL_NOT_ENDING' }],
    IssueInvoice: [{ events: ['InvoiceIssued'], next: 'settled' }, { refused: 'RENTAL_SETTLEMENT_UNBALANCED' }],
  },
  settled: finished,
}
