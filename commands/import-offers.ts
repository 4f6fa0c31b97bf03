import { isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { inChunks } from '../infra/async/chunks.ts'
import type { Position } from '../infra/event-store/port.ts'
import { userActor } from './actor.ts'
import { commandIds, correlationIds, ids } from './derived-ids.ts'
import type { Commands } from './execute.ts'
import { type RefusedLine, readOffers } from './offers.ts'

/** The lines of an offer file by outcome, and the position after the last listing. */
export type OfferImport = {
  readonly listed: readonly { readonly line: number; readonly listing: string }[]
  /** Lines that were imported before. */
  readonly unchanged: readonly { readonly line: number; readonly listing: string }[]
  readonly refused: readonly RefusedLine[]
  readonly position: Position | undefined
}

const atOnceMax = 32

/** Lists the GPUs of every readable line of an offer file, for a registered provider. The same file again changes
 *  nothing: the id of a listing is made of the provider, the content of the line, and the number of earlier lines with
 *  that content. Refuses PROVIDER_NOT_REGISTERED, and INPUT_INVALID when the file has no proper header. */
export const importOffers = async (
  { commands, now }: { readonly commands: Commands; readonly now: () => string },
  { provider, csv }: { readonly provider: string; readonly csv: string },
): Promise<OfferImport | Refusal> => {
  if ((await commands.current('provider', provider)).state.status === 'none') return refuse('PROVIDER_NOT_REGISTERED')
  const read = readOffers(csv)
  if (isRefusal(read)) return read
  const copies = new Map<string, number>()
  const correlationId = correlationIds.import(provider, csv)
  const named = read.offers.map(({ line, offer }) => {
    const first = ids.importedListing(provider, offer, 0)
    const copy = copies.get(first) ?? 0
    copies.set(first, copy + 1)
    return { line, offer, listing: copy === 0 ? first : ids.importedListing(provider, offer, copy) }
  })
  const list = async ({ line, offer, listing }: (typeof named)[number]) => {
    const listedAt = now()
    const envelope = {
      commandId: commandIds.importListing(listing),
      correlationId,
      causationId: correlationId,
      actor: userActor(provider),
      time: listedAt,
    }
    return {
      line,
      listing,
      answer: await commands.execute('listing', listing, { type: 'ListGpus', provider, listedAt, ...offer }, envelope),
    }
  }
  const answers = (await inChunks(named, atOnceMax, (some) => Promise.all(some.map(list)))).flat()

  const refused = [
    ...read.refused,
    ...answers.flatMap(({ line, answer }) => (isRefusal(answer) ? [{ line, refusal: answer }] : [])),
  ]
  const done = answers.flatMap(({ line, listing, answer }) => (isRefusal(answer) ? [] : [{ line, listing, answer }]))
  return {
    listed: done.filter(({ answer }) => !answer.repeated).map(({ line, listing }) => ({ line, listing })),
    unchanged: done.filter(({ answer }) => answer.repeated).map(({ line, listing }) => ({ line, listing })),
    refused: refused.sort((a, b) => a.line - b.line),
    position: done
      .flatMap(({ answer }) => answer.position ?? [])
      .sort()
      .at(-1),
  }
}
