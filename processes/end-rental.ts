import type { Actor } from '../commands/actor.ts'
import { isRefusal, type Refusal } from '../domain/errors.ts'
import type { EndReason } from '../domain/rental.ts'
import type { Position } from '../infra/event-store/port.ts'
import { endRental } from './meter.ts'
import { walk } from './saga.ts'
import { settle } from './settle.ts'

/** Ends a rental with its exact run and walks `settle` at once, so that whoever gave it back finds the invoice with the answer.
 *  Should this die on the way, the durable subscription walks on. Refuses RENTAL_NOT_ACTIVE, NOT_YOURS. */
export const endAndSettle = async (
  dependencies: Parameters<typeof endRental>[0],
  rental: string,
  reason: EndReason,
  actor: Actor,
): Promise<{ readonly position: Position | undefined } | Refusal> => {
  const answer = await endRental(dependencies, rental, reason, actor)
  if (isRefusal(answer)) return answer
  const ended = answer.events.find(({ event }) => event.type === 'RentalEnded')
  if (!ended) return answer
  const walked = await walk(dependencies, settle, { id: rental, revision: ended.revision })
  return { position: walked.position ?? answer.position }
}
