import { aggregates } from '../domain/aggregates.ts'
import { isRefusal, type Refusal, refuse } from '../domain/errors.ts'
import { refuseOversized } from '../domain/limits.ts'
import type { Offer } from '../domain/listing.ts'
import { mapAtOnce } from '../infra/async/at-once.ts'
import type { Position } from '../infra/event-store/port.ts'
import { userActor } from './actor.ts'
import { commandIds, correlationIds } from './derived-ids.ts'
import type { Commands } from './execute.ts'
import { newId } from './ids.ts'
import { type EarlierListings, type FoundMachine, findByName, findMachines } from './import-offers/find.ts'
import { type LineWarning, type MachineLine, type ReadOffer, type RefusedLine, readOffers } from './offers.ts'

export type { EarlierListings, ListedBefore } from './import-offers/find.ts'
export { isImported } from './import-offers/find.ts'

export type ListedLine = { readonly line: number; readonly listing: string }

/** The lines of an offer file by outcome, and the position after the last event. */
export type OfferImport = {
  readonly listed: readonly ListedLine[]
  /** Lines whose listing got the price of the file, or was withdrawn and listed again as the file describes it. */
  readonly changed: readonly ListedLine[]
  /** Lines that were imported before. */
  readonly unchanged: readonly ListedLine[]
  /** `listing`: what was listed for the machine before; it is left as it is. `namesMachine` is false where not even the
   *  columns can be read. */
  readonly refused: readonly (RefusedLine & { readonly listing: string | undefined; readonly namesMachine: boolean })[]
  readonly warnings: readonly LineWarning[]
  readonly withoutGpu: number
  /** Listings that were found by what they offer: they were imported before machines were found by their names. */
  readonly matched: readonly string[]
  readonly position: Position | undefined
}

/** A part of a longer file. */
export type FilePart = {
  /** The number of the first line after the header. */
  readonly firstLine: number
  /** For each record of this part: how many records in earlier parts call their machine the same. */
  readonly equalsBefore: readonly number[]
  /** Listings that earlier parts have matched. */
  readonly matched: readonly string[]
}

export type OfferImportRequest = {
  readonly provider: string
  readonly csv: string
  /** Prices become those of the file, and what was withdrawn is listed again. */
  readonly whole?: boolean
  /** Returns what would be done, and does nothing. */
  readonly dryRun?: boolean
  readonly part?: FilePart | undefined
}

type Dependencies = {
  readonly commands: Commands
  readonly now: () => string
  readonly earlierListings: EarlierListings
}

const atOnceMax = 32

type Outcome = ListedLine & {
  readonly outcome: 'listed' | 'changed' | 'unchanged'
  readonly warning?: string | undefined
  readonly position?: Position | undefined
}

/** Lists the GPUs of every readable line of an offer file, for a registered provider. A line is found again by what it
 *  calls its machine (instance type, model, count and region, as they are written) and by how many lines before it are
 *  called the same; so the same file again changes nothing. What was imported before machines were found by their names
 *  is found by what it offers. With `whole`, prices and withdrawn listings become those of the file. Refuses
 *  PROVIDER_NOT_REGISTERED, and INPUT_INVALID when the file has no proper header or too many lines. */
export const importOffers = async (
  dependencies: Dependencies,
  { provider, csv, whole = false, dryRun = false, part }: OfferImportRequest,
): Promise<OfferImport | Refusal> => {
  const { commands } = dependencies
  if ((await commands.current('provider', provider)).state.status === 'none') return refuse('PROVIDER_NOT_REGISTERED')
  const read = await readOffers(csv, part)
  if (isRefusal(read)) return read
  const named = read.refused.flatMap(({ named }) => named ?? [])
  const lines: readonly (ReadOffer | MachineLine)[] = [...read.offers, ...named]
  const how = { matchedBefore: part?.matched ?? [], mayAssume: !dryRun }
  const { found, matched } = await findMachines(dependencies, provider, lines, how)
  const listedFor = new Map(found.flatMap(({ line, listing, state }) => (state ? [[line, listing]] : [])))
  const write = createWriter(dependencies, { provider, correlationId: correlationIds.import(provider, csv), dryRun })
  const readable = found.filter((line) => 'offer' in line)
  const outcomes = await mapAtOnce(readable, atOnceMax, async (machine) => {
    const outcome = machine.isAssumed ? await listNew(write, machine) : undefined
    if (outcome) return outcome
    return applyLine(write, machine.isAssumed ? await findByName(dependencies, provider, machine) : machine, whole)
  })

  const refused = [
    ...read.refused.map((line) => ({ ...line, namesMachine: line.named !== undefined })),
    ...outcomes.flatMap((outcome) => ('refusal' in outcome ? [{ ...outcome, namesMachine: true }] : [])),
  ]
  const done = outcomes.flatMap((outcome) => ('refusal' in outcome ? [] : [outcome]))
  const linesOf = (sought: Outcome['outcome']) =>
    done.flatMap(({ outcome, line, listing }) => (outcome === sought ? [{ line, listing }] : []))
  return {
    listed: linesOf('listed'),
    changed: linesOf('changed'),
    unchanged: linesOf('unchanged'),
    refused: refused.map((line) => ({ ...line, listing: listedFor.get(line.line) })).sort((a, b) => a.line - b.line),
    warnings: [...read.warnings, ...done.flatMap(({ line, warning }) => (warning ? [{ line, warning }] : []))].sort(
      (a, b) => a.line - b.line,
    ),
    withoutGpu: read.withoutGpu,
    matched,
    position: done
      .flatMap(({ position }) => position ?? [])
      .sort()
      .at(-1),
  }
}

type Writer = ReturnType<typeof createWriter>

/** Sends the commands of one import; with `dryRun` none. */
const createWriter = (
  { commands, now }: Pick<Dependencies, 'commands' | 'now'>,
  { provider, correlationId, dryRun }: { provider: string; correlationId: string; dryRun: boolean },
) => {
  const nothing = { repeated: false, position: undefined } as const
  const execute = (
    listing: string,
    commandId: string,
    command: (time: string) => Parameters<typeof commands.execute<'listing'>>[2],
    isNew = false,
  ) => {
    const time = now()
    if (dryRun) return refuseOversized(aggregates.listing.commandFields, command(time)) ?? nothing
    const envelope = { commandId, correlationId, causationId: correlationId, actor: userActor(provider), time }
    return commands.execute('listing', listing, command(time), envelope, { isNew })
  }
  return {
    listMachine: (listing: string, offer: Omit<Offer, 'provider'>) =>
      execute(
        listing,
        commandIds.importMachine(listing),
        (listedAt) => ({ type: 'ListGpus', provider, listedAt, ...offer }),
        true,
      ),
    changePrice: (listing: string, { pricePerGpuHour }: Pick<Offer, 'pricePerGpuHour'>) =>
      execute(listing, newId(), () => ({ type: 'ChangePrice', pricePerGpuHour })),
    withdraw: (listing: string) => execute(listing, newId(), () => ({ type: 'WithdrawListing' })),
  }
}

/** Lists a machine that is most likely new. Resolves to undefined when it was listed before: then nothing is written. */
const listNew = async (
  { listMachine }: Writer,
  { line, offer, listing }: FoundMachine<ReadOffer>,
): Promise<Outcome | RefusedLine | undefined> => {
  const answer = await listMachine(listing, offer)
  if (isRefusal(answer)) return answer.refused === 'LISTING_ALREADY_EXISTS' ? undefined : { line, refusal: answer }
  return answer.repeated ? undefined : { line, listing, outcome: 'listed', position: answer.position }
}

/** Makes the listing of one line as the file has it: lists it, or with `whole` changes it. */
const applyLine = async (
  { listMachine, changePrice, withdraw }: Writer,
  { line, offer, listing, state, nextListing }: FoundMachine<ReadOffer>,
  whole: boolean,
): Promise<Outcome | RefusedLine> => {
  const listAs = async (id: string, outcome: 'listed' | 'changed'): Promise<Outcome | RefusedLine> => {
    const answer = await listMachine(id, offer)
    if (isRefusal(answer)) return { line, refusal: answer }
    return { line, listing: id, outcome: answer.repeated ? 'unchanged' : outcome, position: answer.position }
  }
  if (state === undefined) return listAs(listing, 'listed')
  const unchanged = (warning?: string): Outcome => ({ line, listing, outcome: 'unchanged', warning })
  const isRented = state.reservations.size > 0
  if (state.status === 'withdrawn') {
    if (!whole) return unchanged('its listing was withdrawn; --whole lists it again')
    return isRented
      ? unchanged('its listing was withdrawn and is still rented; import it again when the rentals have ended')
      : listAs(nextListing, 'listed')
  }
  const different = termsThatDiffer(offer, state)
  if (different !== undefined) {
    if (!whole) return unchanged(`its listing has ${different}; --whole lists it anew`)
    if (isRented) return unchanged(`its listing has ${different}, and is rented; import it again later`)
    const answer = await withdraw(listing)
    return isRefusal(answer) ? { line, refusal: answer } : listAs(nextListing, 'changed')
  }
  if (offer.pricePerGpuHour.amount === state.pricePerGpuHour.amount) return unchanged()
  if (!whole) return unchanged('its listing has another price; --whole changes it')
  const answer = await changePrice(listing, offer)
  if (isRefusal(answer)) return { line, refusal: answer }
  return { line, listing, outcome: 'changed', position: answer.position }
}

/** Returns the first term, other than the price, in which a listing differs from the file. */
const termsThatDiffer = (offer: Omit<Offer, 'provider'>, listed: Omit<Offer, 'provider'>): string | undefined =>
  (['gpuCount', 'vramMib', 'vcpus', 'memoryMib'] as const)
    .filter((term) => offer[term] !== listed[term])
    .map((term) => `${term} ${listed[term]} instead of ${offer[term]}`)
    .at(0)
