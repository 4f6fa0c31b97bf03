import { ids } from '../commands/derived-ids.ts'
import type { Commands } from '../commands/execute.ts'
import { type ErrorCode, isRefusal, type Refusal } from '../domain/errors.ts'
import type { Placement } from '../domain/rental.ts'
import { type RentalRequest, type RequestedRental, requestRental } from './rent-a-gpu.ts'

/** Why a rental was refused. `offer`: because of what one provider offers, so the next offer is tried. `price`: because of
 *  a price and what the renter has; the next offer is tried as long as nothing is stored, and a rental that was rejected
 *  so stays the answer. `request`: the next offer would change nothing, or nothing is decided yet. */
type Cause = 'offer' | 'price' | 'request'

/** The cause of each code that `requestRental` refuses or rejects with. */
export const causes = {
  LISTING_UNKNOWN: 'offer',
  LISTING_WITHDRAWN: 'offer',
  LISTING_FULL: 'offer',
  LISTING_TOO_SMALL: 'offer',
  PRICE_ABOVE_MAXIMUM: 'offer',
  // Of rentals from before holds were rounded up.
  AMOUNT_INVALID: 'offer',
  INSUFFICIENT_FUNDS: 'price',
  RENTAL_INVALID: 'request',
  RENTAL_ALREADY_REQUESTED: 'request',
  RENTAL_NOT_REQUESTED: 'request',
  HOLD_ALREADY_EXISTS: 'request',
  IDEMPOTENCY_KEY_REUSED: 'request',
  DEADLINE_PASSED: 'request',
  INPUT_INVALID: 'request',
  NOT_YOURS: 'request',
  // The same rental may still become active.
  CONFLICT_UNRESOLVED: 'request',
} as const satisfies Partial<Record<ErrorCode, Cause>>

const causeOf = (code: ErrorCode): Cause => (code in causes ? causes[code as keyof typeof causes] : 'request')

type Dependencies = { readonly commands: Commands; readonly now: () => string }
type Terms = Omit<RentalRequest, 'listing' | 'placement'>

/** Rents from the first of several listings that takes the request. The listings are stored with the first rental of the
 *  key, so the same key again, and the same request in another process, tries the same ones and gets the same answer.
 *  Where each of them refuses because of what it offers, the rental is rejected with OFFERS_CHANGED and why they did.
 *  @param find resolves to the listings to try, the best first; asked only for a key without a rental.
 *  Refuses what `find` and `requestRental` refuse. */
export const rentOneOf = async (
  dependencies: Dependencies,
  terms: Terms,
  asked: Omit<Placement, 'listings'>,
  find: () => Promise<readonly string[] | Refusal>,
): Promise<RequestedRental | Refusal> => {
  const found = (await storedListings(dependencies.commands, terms)) ?? (await find())
  if (isRefusal(found)) return found
  let answer = await rentFirst(dependencies, terms, asked, found)
  if (!isBecauseOfOffer(answer)) return answer
  const codes: ErrorCode[] = [answer.code]
  // The same request in another process may have stored other listings a moment earlier.
  const listings = (await storedListings(dependencies.commands, terms)) ?? []
  for (const [index, listing] of listings.entries()) {
    // Each listing tried is a separate rental, under a key derived from the renter's key; the first was tried above.
    if (index === 0) continue
    const idempotencyKey = ids.keyOfTry(terms.idempotencyKey, index)
    answer = await requestRental(dependencies, { ...terms, listing, idempotencyKey })
    if (!isBecauseOfOffer(answer)) return answer
    codes.push(answer.code)
  }
  const refused = [...Map.groupBy(codes, (code) => code)].map(([code, of]) => `${of.length} ${code}`)
  return { ...answer, code: 'OFFERS_CHANGED', details: { tried: String(codes.length), refused: refused.join(', ') } }
}

/** Requests the first rental of the key. Where a listing is refused before anything is stored, the next one is the first:
 *  listings before it are not stored, so a repetition of the request does not try them either. */
const rentFirst = async (
  dependencies: Dependencies,
  terms: Terms,
  asked: Omit<Placement, 'listings'>,
  found: readonly string[],
): Promise<RequestedRental | Refusal> => {
  let refused: Refusal | undefined
  for (let index = 0; ; index += 1) {
    const placement = { ...asked, listings: found.slice(index) }
    const answer = await requestRental(dependencies, { ...terms, listing: found[index] ?? '', placement })
    if (!isRefusal(answer) || causeOf(answer.refused) === 'request') return answer
    refused ??= answer
    if (index >= found.length - 1) return refused
  }
}

type Rejected = RequestedRental & { readonly outcome: 'rejected' }

const isBecauseOfOffer = (answer: RequestedRental | Refusal): answer is Rejected =>
  !isRefusal(answer) && answer.outcome === 'rejected' && causeOf(answer.code) === 'offer'

/** Resolves to the listings that were stored with the first rental of this key, or to undefined when it has none. */
const storedListings = async (
  commands: Pick<Commands, 'current'>,
  { renter, idempotencyKey }: Pick<RentalRequest, 'renter' | 'idempotencyKey'>,
): Promise<readonly string[] | undefined> => {
  const { first } = await commands.current('rental', ids.rental(renter, idempotencyKey))
  const requested = first?.event
  if (requested?.type !== 'RentalRequested') return undefined
  return requested.placement?.listings ?? [requested.listing]
}
