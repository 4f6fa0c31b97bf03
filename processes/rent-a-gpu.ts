import { userActor } from '../commands/actor.ts'
import { commandIds, ids } from '../commands/derived-ids.ts'
import { type Commands, requestEnvelope } from '../commands/execute.ts'
import { balanceOf } from '../domain/account.ts'
import type { StateOf } from '../domain/aggregates.ts'
import { type Details, type ErrorCode, isFailure, isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { costAtMost, exceeds, formatMoney, type Money, money } from '../domain/money.ts'
import { hourlyRate, type Placement } from '../domain/rental.ts'
import { plusSeconds } from '../domain/time.ts'
import type { Position } from '../infra/event-store/port.ts'
import { rentSteps, sagaNames } from './names.ts'
import { requireEvent, runSagaOnce, type Saga, type Trigger } from './saga.ts'

/** What a renter asks for. The same key again is the same request and gets the same rental. */
export type RentalRequest = {
  readonly renter: string
  readonly idempotencyKey: string
  readonly listing: string
  readonly gpuCount: number
  /** For how long at most, in seconds; the renter may give it back earlier. */
  readonly seconds: bigint
  readonly maxPricePerGpuHour: Money
  /** Left out for a renter who named the listing. */
  readonly placement?: Placement | undefined
}

export type RequestedRental = { readonly rental: string; readonly position: Position | undefined } & (
  | { readonly outcome: 'active' }
  /** Refused by the listing or by the account; nothing is held. */
  | { readonly outcome: 'rejected'; readonly code: ErrorCode; readonly details?: Details }
)

/** Requests a rental and runs `rent-a-gpu` at once, so that the renter has the answer in one round trip. Refuses
 *  INSUFFICIENT_FUNDS, IDEMPOTENCY_KEY_REUSED, CONFLICT_UNRESOLVED, and what the rental itself refuses. */
export const requestRental = async (
  { commands, now }: { readonly commands: Commands; readonly now: () => string },
  request: RentalRequest,
): Promise<RequestedRental | Refusal> => {
  const { renter, idempotencyKey, placement, ...terms } = request
  const rental = ids.rental(renter, idempotencyKey)
  const unpayable = await refuseUnpayable(commands, rental, request)
  if (unpayable) return unpayable
  const requestedAt = now()
  // What was asked is part of the command id: the key again with other terms is another command, and is refused.
  const commandId = placement
    ? commandIds.requestPlacedRental(rental, placement, terms)
    : commandIds.requestRental(rental, terms)
  const answer = await commands.execute(
    'rental',
    rental,
    { type: 'RequestRental', renter, ...terms, requestedAt, ...(placement && { placement }) },
    requestEnvelope(commandId, userActor(renter), requestedAt),
    { isNew: true },
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

/** Refuses INSUFFICIENT_FUNDS when the wallet cannot pay the listing's present price for the whole time, so that no GPU
 *  is reserved for it and no event is left. A key that has a rental gets the answer of that one instead, and what the
 *  listing would refuse is left to the saga. */
const refuseUnpayable = async (
  commands: Pick<Commands, 'current' | 'known'>,
  rental: string,
  request: RentalRequest,
): Promise<Refusal | undefined> => {
  const { renter, listing } = request
  const refusal = async (look: Commands['known']) => {
    const [{ state: offer }, { state: account }] = await Promise.all([
      look('listing', listing),
      look('account', renter),
    ])
    return unpayable(offer, account, request)
  }
  // Only a "no" needs the present state: a "yes" is checked by the append of each step.
  if (!(await refusal(commands.known))) return undefined
  const refused = await refusal(commands.current)
  if (!refused) return undefined
  // The money may be held for this very rental, by the same request in another process.
  const { revision } = await commands.current('rental', rental)
  return revision === undefined ? refused : undefined
}

const unpayable = (
  offer: StateOf<'listing'>,
  account: StateOf<'account'>,
  { gpuCount, seconds, maxPricePerGpuHour }: RentalRequest,
): Refusal | undefined => {
  if (offer.status !== 'open' || gpuCount < 1 || seconds < 1n) return undefined
  const { pricePerGpuHour } = offer
  const { asset } = pricePerGpuHour
  if (asset !== maxPricePerGpuHour.asset || exceeds(pricePerGpuHour, maxPricePerGpuHour)) return undefined
  const needed = costAtMost(hourlyRate({ pricePerGpuHour, gpuCount }), seconds)
  const available = money(balanceOf(account, asset).available, asset)
  if (!exceeds(needed, available)) return undefined
  return refuse('INSUFFICIENT_FUNDS', { needed: formatMoney(needed), available: formatMoney(available) })
}

/** Runs the saga of a rental. A run that others have beaten too often has decided nothing: the same request again goes
 *  on from there. */
const runToTheEnd = (dependencies: { readonly commands: Commands; readonly now: () => string }, rental: string) =>
  runSagaOnce(dependencies, rentAGpu, { id: rental, revision: 0n }).catch((error: unknown) => {
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
  isDone: ({ status }) => status !== 'none' && status !== 'requested' && status !== 'rejected',
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
        const amount = costAtMost(hourlyRate(requireEvent(events, 'CapacityReserved')), seconds)
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
