import type { AggregateName, CommandOf, StateOf } from '../domain/aggregates.ts'
import { type Refusal, refuse } from '../domain/errors.ts'
import { type Actor, isSystem, userActor } from './actor.ts'

/** Returns the wallet that may send a command; undefined when no wallet may, only the platform itself. */
type Owner<Name extends AggregateName> = (command: CommandOf<Name>, state: StateOf<Name>) => string | undefined

const owners: { readonly [Name in AggregateName]: Owner<Name> } = {
  account: (command) => {
    switch (command.type) {
      case 'CreditDeposit':
      case 'HoldFunds':
      case 'CaptureHold':
      case 'ReleaseHold':
      case 'CreditEarnings':
        return undefined
      // Without this a missing case would compile, because every other path returns undefined.
      default:
        return command satisfies never
    }
  },
  payment: (command) => {
    switch (command.type) {
      case 'ObserveDeposit':
      case 'FinalizeDeposit':
      case 'ReportDepositVanished':
        return undefined
      default:
        return command satisfies never
    }
  },
  provider: (command, state) => {
    switch (command.type) {
      case 'RegisterProvider':
        return command.wallet
      case 'RenameProvider':
        return state.status === 'none' ? undefined : state.wallet
    }
  },
  listing: (command, state) => {
    switch (command.type) {
      case 'ListGpus':
        return command.provider
      case 'ChangePrice':
      case 'WithdrawListing':
        return state.status === 'none' ? undefined : state.provider
      case 'ReserveCapacity':
      case 'FreeCapacity':
        return undefined
    }
  },
  rental: (command, state) => {
    switch (command.type) {
      case 'RequestRental':
        return command.renter
      case 'AdmitJob':
      case 'EndRental':
        return state.status === 'none' ? undefined : state.renter
      case 'ActivateRental':
      case 'RejectRental':
      case 'MeterRental':
      case 'CloseJob':
      case 'CompleteEnd':
      case 'IssueInvoice':
        return undefined
    }
  },
  job: (command, state) => {
    switch (command.type) {
      case 'SubmitJob':
        return command.renter
      case 'DeclareJobLost':
        return command.operator
      case 'RequestStop':
        return state.status === 'none' ? undefined : state.renter
      case 'StartJob':
      case 'ReportProgress':
      case 'CompleteJob':
      case 'FailJob':
      case 'InterruptJob':
      case 'ConfirmStop':
        return undefined
    }
  },
}

/** Refuses NOT_YOURS when a wallet sends a command that belongs to another wallet, or to the platform alone. Returns
 *  undefined when the actor may send it; the platform may send everything. */
export const refuseStranger = <Name extends AggregateName>(
  name: Name,
  actor: Actor,
  command: CommandOf<Name>,
  state: StateOf<Name>,
): Refusal | undefined => {
  if (isSystem(actor)) return undefined
  const owner = owners[name](command, state)
  return owner !== undefined && actor === userActor(owner) ? undefined : refuse('NOT_YOURS')
}
