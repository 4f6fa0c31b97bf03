import type { StateOf } from '../../domain/aggregates.ts'
import type { Money } from '../../domain/money.ts'
import { mapAtOnce } from '../../infra/async/at-once.ts'
import { commandIds, ids } from '../derived-ids.ts'
import type { Commands, Current } from '../execute.ts'
import { eventIdOf } from '../ids.ts'
import type { FormerOffer, MachineLine } from '../offers.ts'

type Listed = Exclude<StateOf<'listing'>, { readonly status: 'none' }>

/** A listing of a provider, as a read model has it. */
export type ListedBefore = FormerOffer & { readonly id: string; readonly status: 'open' | 'withdrawn' }

/** Resolves to the listings of a provider that have one of these models and one of these regions. */
export type EarlierListings = (
  provider: string,
  sought: { readonly gpus: readonly string[]; readonly regions: readonly string[] },
) => Promise<readonly ListedBefore[]>

/** A line with the listing that it means. */
export type FoundMachine<Line extends MachineLine = MachineLine> = Line & {
  readonly listing: string
  /** Undefined when nothing was listed for this machine. */
  readonly state: Listed | undefined
  /** The state was not read: the append finds whether that is true. */
  readonly isAssumed: boolean
  /** The id under which the machine is listed again, once its listing is withdrawn. */
  readonly nextListing: string
}

/** Returns whether an import has listed this, as opposed to a provider by hand. */
export const isImported = (listing: string, current: Pick<Current<'listing'>, 'first'>): boolean =>
  isListedBy(commandIds.importMachine(listing), current) || isListedBy(commandIds.importListing(listing), current)

const isListedBy = (commandId: string, { first }: Pick<Current<'listing'>, 'first'>): boolean =>
  first?.event.type === 'GpusListed' && first.eventId === eventIdOf(commandId, 0, first.event.listedAt)

/** Returns a text that is equal for two offers that were read the same before, whatever they cost. */
const formerKey = ({ gpu, gpuCount, vramMib, vcpus, memoryMib, region }: FormerOffer): string =>
  JSON.stringify([gpu, gpuCount, vramMib, vcpus, memoryMib, region])

type Commanded = { readonly commands: Pick<Commands, 'current'> }

/** Resolves to the last listing of a machine under its own name. Each generation was begun when the one before had been
 *  withdrawn, so the last is found by doubling steps and then by halving them. */
const lastGeneration = async ({ commands }: Commanded, idOf: (generation: number) => string) => {
  const stateOf = async (generation: number) => {
    const { state } = await commands.current('listing', idOf(generation))
    return state.status === 'none' ? undefined : state
  }
  let [generation, state] = [0, await stateOf(0)]
  if (state?.status !== 'withdrawn') return { generation, state }
  let none = 1
  for (let next = await stateOf(none); next !== undefined; next = await stateOf(none)) {
    generation = none
    state = next
    none *= 2
  }
  while (none - generation > 1) {
    const between = Math.floor((none + generation) / 2)
    const next = await stateOf(between)
    if (next === undefined) none = between
    else {
      generation = between
      state = next
    }
  }
  return { generation, state }
}

/** Resolves to what was listed before machines were found by their names, by what it offers. Open listings come first.
 *  @param rows the earlier listings of the provider; @param taken those that are left out. */
const findFormer = async (
  { commands }: Commanded,
  rows: readonly ListedBefore[],
  sought: readonly FormerOffer[],
  taken: ReadonlySet<string>,
) => {
  const found = new Map<string, { readonly id: string; readonly state: Listed }[]>()
  const keys = new Set(sought.map(formerKey))
  const alike = rows
    .filter((row) => keys.has(formerKey(row)) && !taken.has(row.id))
    .toSorted((a, b) => Number(b.status === 'open') - Number(a.status === 'open') || (a.id < b.id ? -1 : 1))
  const look = async (row: ListedBefore) => {
    const current = await commands.current('listing', row.id)
    if (current.state.status === 'none' || !isListedBy(commandIds.importListing(row.id), current)) return []
    return [{ key: formerKey(row), id: row.id, state: current.state }]
  }
  const looked = await mapAtOnce(alike, atOnceMax, look)
  for (const { key, id, state } of looked.flat()) {
    const others = found.get(key)
    if (others) others.push({ id, state })
    else found.set(key, [{ id, state }])
  }
  return found
}

const atOnceMax = 32

type Offered = { readonly offer?: { readonly gpu: string; readonly region: string; readonly pricePerGpuHour: Money } }

/** Resolves to a line with the last listing under the name of its machine. */
export const findByName = async <Line extends MachineLine>(
  dependencies: Commanded,
  provider: string,
  line: Line,
): Promise<FoundMachine<Line>> => {
  const idOf = (generation: number) => ids.machineListing(provider, line.machine, line.copy, generation)
  const { generation, state } = await lastGeneration(dependencies, idOf)
  const nextListing = idOf(state === undefined ? generation : generation + 1)
  return { ...line, listing: idOf(generation), state, nextListing, isAssumed: false }
}

/** Resolves to each line with its listing, in the order of the lines, and to the listings that were matched by what they
 *  offer.
 *  @param matchedBefore what earlier parts of the file have matched.
 *  @param mayAssume a line with an offer like none of the provider's is not looked up: it is most likely new. */
export const findMachines = async <Line extends MachineLine & Offered>(
  dependencies: Commanded & { readonly earlierListings: EarlierListings },
  provider: string,
  lines: readonly Line[],
  { matchedBefore, mayAssume }: { readonly matchedBefore: readonly string[]; readonly mayAssume: boolean },
): Promise<{ readonly found: readonly FoundMachine<Line>[]; readonly matched: readonly string[] }> => {
  const sold = lines.flatMap(({ offer, former }) => [offer ?? [], former ?? []].flat())
  const rows =
    sold.length === 0
      ? []
      : await dependencies.earlierListings(provider, {
          gpus: [...new Set(sold.map(({ gpu }) => gpu))],
          regions: [...new Set(sold.map(({ region }) => region))],
        })
  const listed = new Set(rows.map(({ id }) => id))
  const offered = new Set(rows.map(formerKey))
  const named = await mapAtOnce(lines, atOnceMax, async (line) => {
    const listing = ids.machineListing(provider, line.machine, line.copy, 0)
    const isNew = !listed.has(listing) && !(line.former && offered.has(formerKey(line.former)))
    if (!mayAssume || !line.offer || !isNew) return findByName(dependencies, provider, line)
    return { ...line, listing, state: undefined, nextListing: listing, isAssumed: true }
  })
  const sought = named.flatMap(({ state, former }) => (state === undefined && former ? [former] : []))
  const former = await findFormer(dependencies, rows, sought, new Set(matchedBefore))
  const matched: string[] = []
  const found = named.map((machine) => {
    const alike = machine.state === undefined && machine.former ? former.get(formerKey(machine.former)) : undefined
    const price = machine.offer?.pricePerGpuHour.amount
    const index = alike?.findIndex(({ state }) => state.pricePerGpuHour.amount === price) ?? -1
    const [match] = alike?.splice(Math.max(index, 0), 1) ?? []
    if (match === undefined) return machine
    matched.push(match.id)
    return { ...machine, listing: match.id, state: match.state, nextListing: machine.listing }
  })
  return { found, matched }
}
