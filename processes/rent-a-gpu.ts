import { userActor } from '../commands/actor.ts'
import { commandIds, ids } from '../commands/derived-ids.ts'
import { type Commands, requestEnvelope } from '../commands/execute.ts'
import { type ErrorCode, isFailure, isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { costOf, type Money } from '../domain/money.ts'
import { hourlyRate } from '../domain/rental.ts'
import type { Position } from '../infra/event-store/port.ts'
import { rentSteps, sagaNames } from './names.ts'
import { requireEvent, runSaga, type Saga, type Trigger } from './saga.ts'
import { plusSeconds } from './time.ts'

/** What a renter asks for. The same key again is the same request and gets the same rental. */
export type RentalRequest = {
  readonly renter: string
  readonly idempotencyKey: string
  readonly listing: string
  readonly gpuCount: number
  /** For how long at most, in seconds; the renter may give it back earlier. */
  readonly seconds: bigint
  readonly maxPricePerGpuHour: Money
}

export type RequestedRental = { readonly rental: string; readonly position: Position | undefined } & (
  | { readonly outcome: 'active' }
  /** Refused by the listing or by the account; nothing is held. */
  | { readonly outcome: 'rejected'; readonly code: ErrorCode }
)

/** Requests a rental and runs `rent-a-gpu` at once, so that the renter has the answer in one round trip. Refuses
 *  IDEMPOTENCY_KEY_REUSED, CONFLICT_UNRESOLVED, and what the rental itself refuses. */
export const requestRental = async (
  { commands, now }: { readonly commands: Commands; readonly now: () => string },
  { renter, idempotencyKey, ...terms }: RentalRequest,
): Promise<RequestedRental | Refusal> => {
  const rental = ids.rental(renter, idempotencyKey)
  const requestedAt = now()
  const answer = await commands.execute(
    'rental',
    rental,
    { type: 'RequestRental', renter, ...terms, requestedAt },
    // What was asked is part of the command id: the key again with other terms is another command, and is refused.
    requestEnvelope(commandIds.requestRental(rental, terms), userActor(renter), requestedAt),
  )
  if (isRefusal(answer))
    return answer.refused === 'RENTAL_ALREADY_REQUESTED' ? refuse('IDEMPOTENCY_KEY_REUSED', { idempotencyKey }) : answer
  const ended = await runToTheEnd({ commands, now }, rental)
  if (isRefusal(ended)) return ended
  const position = ended.position ?? answer.position
  return ended.outcome === 'done'
    ? { outcome: 'active', rental, position }
    : { outcome: 'rejected', code: ended.code, rental, position }
}

/** Runs the saga of a rental. A run that others have beaten too often has decided nothing: the same request again goes
 *  on from there. */
const runToTheEnd = (dependencies: { readonly commands: Commands; readonly now: () => string }, rental: string) =>
  runSaga(dependencies, rentAGpu, { id: rental, revision: 0n }).catch((error: unknown) => {
    if (isFailure(error, 'CONFLICT_UNRESOLVED')) return refuse(error.code, { ...error.details, rental })
    throw error
  })

/** After so many seconds the aggregates refuse a step that is not done yet. */
const deadlineSeconds = 30

type Requested = Trigger<'rental', 'RentalRequested'>
const notAfter = ({ event }: Requested) => plusSeconds(event.requestedAt, deadlineSeconds)

/** From a request to a lease: reserve the GPUs, hold the money for the whole time, start the clock. When a step is
 *  refused, the rental is rejected with its code and the earlier steps are taken back. The request runs this saga
 *  itself; when it dies half way, the durable subscription runs the saga to its end. */
export const rentAGpu: Saga<'rental', 'RentalRequested'> = {
  name: sagaNames.rentAGpu,
  starts: { aggregate: 'rental', type: 'RentalRequested' },
  steps: [
    {
      name: rentSteps.reserve,
      invoke: (trigger, _events, at) => {
        const { listing, gpuCount, maxPricePerGpuHour } = trigger.event
        const reservation = { rental: trigger.id, gpuCount, maxPricePerGpuHour }
        const command = { type: 'ReserveCapacity', ...reservation, at, notAfter: notAfter(trigger) } as const
        return { to: 'listing', id: listing, command }
      },
      compensate: ({ id, event }) => ({
        to: 'listing',
        id: event.listing,
        command: { type: 'FreeCapacity', rental: id },
      }),
    },
    {
      name: rentSteps.hold,
      invoke: (trigger, events, at) => {
        const { renter, seconds } = trigger.event
        const amount = costOf(hourlyRate(requireEvent(events, 'CapacityReserved')), seconds)
        const hold = { user: renter, rental: trigger.id, amount }
        return { to: 'account', id: renter, command: { type: 'HoldFunds', ...hold, at, notAfter: notAfter(trigger) } }
      },
      compensate: ({ id, event }) => ({
        to: 'account',
        id: event.renter,
        command: { type: 'ReleaseHold', rental: id },
      }),
    },
    {
      name: rentSteps.activate,
      invoke: (trigger, events, startedAt) => {
        const { id, event } = trigger
        const { provider, gpu, pricePerGpuHour } = requireEvent(events, 'CapacityReserved')
        const held = requireEvent(events, 'FundsHeld').posting.amount
        const endsAt = plusSeconds(startedAt, Number(event.seconds))
        const lease = { provider, gpu, pricePerGpuHour, held, startedAt, endsAt, notAfter: notAfter(trigger) }
        return { to: 'rental', id, command: { type: 'ActivateRental', ...lease } }
      },
    },
  ],
  rejected: ({ id }, code, rejectedAt) => ({ to: 'rental', id, command: { type: 'RejectRental', code, rejectedAt } }),
}
