import { userActor } from '../commands/actor.ts'
import { type Commands, requestEnvelope } from '../commands/execute.ts'
import { derivedId } from '../commands/ids.ts'
import { type ErrorCode, isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import type { Money } from '../domain/money.ts'
import type { Position } from '../infra/event-store/port.ts'
import { rentAGpu } from './rent-a-gpu.ts'
import { walk } from './saga.ts'

/** What a renter asks for. The same key again is the same request and gets the same rental. */
export type RentalWish = {
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
  /** Asked for, and answered with a no by the listing or the account; nothing is held. */
  | { readonly outcome: 'rejected'; readonly code: ErrorCode }
)

/** Asks for a rental and walks `rent-a-gpu` at once, so that the renter has the answer in one round trip. */
export const requestRental = async (
  { commands, now }: { readonly commands: Commands; readonly now: () => string },
  { renter, idempotencyKey, listing, gpuCount, seconds, maxPricePerGpuHour }: RentalWish,
): Promise<RequestedRental | Refusal> => {
  const rental = derivedId('rental', renter, idempotencyKey)
  // What was asked is part of the command id: the key again with another wish is another command, and is refused below.
  const wish = [listing, gpuCount, seconds, maxPricePerGpuHour.amount, maxPricePerGpuHour.asset].map(String)
  const commandId = derivedId('rent', rental, ...wish)
  const requestedAt = now()
  const answer = await commands.execute(
    'rental',
    rental,
    { type: 'RequestRental', listing, renter, gpuCount, seconds, maxPricePerGpuHour, requestedAt },
    requestEnvelope(commandId, userActor(renter), requestedAt),
  )
  if (isRefusal(answer))
    return answer.refused === 'RENTAL_ALREADY_REQUESTED' ? refuse('IDEMPOTENCY_KEY_REUSED', { idempotencyKey }) : answer
  const walked = await walk({ commands, now }, rentAGpu, { id: rental, revision: 0n })
  const position = walked.position ?? answer.position
  return walked.outcome === 'done'
    ? { outcome: 'active', rental, position }
    : { outcome: 'rejected', code: walked.code, rental, position }
}
