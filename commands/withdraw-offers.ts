import { isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { inChunks } from '../infra/async/chunks.ts'
import type { Position } from '../infra/event-store/port.ts'
import { userActor } from './actor.ts'
import { type Commands, requestEnvelope } from './execute.ts'
import { newId } from './ids.ts'
import { isImported } from './import-offers.ts'

/** Listings by their ids: above `after` and up to `until`; undefined is the beginning or the end. */
export type ListingRange = { readonly after?: string | undefined; readonly until?: string | undefined }

/** Resolves to the ids of the first `first` open listings of a provider in a range, sorted. */
export type OpenListings = (
  provider: string,
  range: ListingRange & { readonly first: number },
) => Promise<readonly string[]>

export type WithdrawnOffers = {
  readonly withdrawn: readonly string[]
  /** Where to go on within the range; undefined at its end. */
  readonly next: string | undefined
  readonly position: Position | undefined
}

/** The most listings that one call looks at. */
export const listingsLookedAtMax = 500
const atOnceMax = 32

/** Withdraws the imported listings of a provider within a range that are not to be kept. Running rentals go on, and what
 *  the provider has listed by hand stays. Refuses PROVIDER_NOT_REGISTERED. */
export const withdrawOffers = async (
  {
    commands,
    now,
    openListings,
  }: { readonly commands: Commands; readonly now: () => string; readonly openListings: OpenListings },
  request: ListingRange & { readonly provider: string; readonly keep: readonly string[]; readonly dryRun?: boolean },
): Promise<WithdrawnOffers | Refusal> => {
  const { provider, keep, dryRun = false, after, until } = request
  if ((await commands.current('provider', provider)).state.status === 'none') return refuse('PROVIDER_NOT_REGISTERED')
  const open = await openListings(provider, { after, until, first: listingsLookedAtMax })
  const kept = new Set(keep)
  const withdraw = async (listing: string) => {
    if (!isImported(listing, await commands.current('listing', listing))) return []
    if (dryRun) return [{ listing, position: undefined }]
    const envelope = requestEnvelope(newId(), userActor(provider), now())
    const answer = await commands.execute('listing', listing, { type: 'WithdrawListing' }, envelope)
    return isRefusal(answer) ? [] : [{ listing, position: answer.position }]
  }
  const gone = open.filter((listing) => !kept.has(listing))
  const done = (await inChunks(gone, atOnceMax, (some) => Promise.all(some.map(withdraw)))).flat(2)
  return {
    withdrawn: done.map(({ listing }) => listing),
    next: open.length < listingsLookedAtMax ? undefined : open.at(-1),
    position: done
      .flatMap(({ position }) => position ?? [])
      .sort()
      .at(-1),
  }
}
