import { isRefusal } from '../domain/errors.ts'
import { parseAmount } from '../domain/money.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { userActor } from './actor.ts'
import { csvRecords, linesOf } from './csv-records.ts'
import { commandIds, correlationIds, ids } from './derived-ids.ts'
import type { Commands } from './execute.ts'
import type { EarlierListings, ListedBefore } from './import-offers.ts'
import { formerOfferOf } from './offers.testing.ts'
import { columnsOf } from './offers.ts'

type World = { readonly store: EventStore; readonly commands: Commands; readonly now: () => string }

/** Imports a file of valid lines as it was done before machines were found by their names: the id of a listing was made
 *  of what the line offers, its price included. Resolves to the listings. */
export const importAsBefore = async (
  { commands, now }: Pick<World, 'commands' | 'now'>,
  provider: string,
  csv: string,
): Promise<readonly string[]> => {
  const [header, ...records] = csvRecords(linesOf(csv))
  const fieldsOf = columnsOf(header)
  if (typeof fieldsOf !== 'function') throw new Error(fieldsOf.refused)
  const copies = new Map<string, number>()
  const correlationId = correlationIds.import(provider, csv)
  const listings: string[] = []
  for (const record of records) {
    if (!('fields' in record)) throw new Error(record.problem)
    const fields = fieldsOf(record.fields)
    const former = formerOfferOf(fields)
    const machine = parseAmount(fields.Price, 'USDC/6')
    if (!former || !machine) throw new Error(`line ${record.line} was refused before`)
    const count = BigInt(former.gpuCount)
    const offer = { ...former, pricePerGpuHour: { ...machine, amount: (machine.amount + count - 1n) / count } }
    const first = ids.importedListing(provider, offer, 0)
    const copy = copies.get(first) ?? 0
    copies.set(first, copy + 1)
    const listing = ids.importedListing(provider, offer, copy)
    const listedAt = now()
    const answer = await commands.execute(
      'listing',
      listing,
      { type: 'ListGpus', provider, listedAt, ...offer },
      {
        commandId: commandIds.importListing(listing),
        correlationId,
        causationId: correlationId,
        actor: userActor(provider),
        time: listedAt,
      },
    )
    if (isRefusal(answer)) throw new Error(answer.refused)
    listings.push(listing)
  }
  return listings
}

/** Resolves to all listings in the log, as the read model has them. */
export const listingsIn = async ({ store, commands }: Pick<World, 'store' | 'commands'>) => {
  const listings: (ListedBefore & { readonly provider: string; readonly price: bigint })[] = []
  for await (const { type, stream } of store.readAll()) {
    if (type !== 'GpusListed') continue
    const id = stream.replace('listing-', '')
    const { state } = await commands.current('listing', id)
    if (state.status !== 'none') listings.push({ ...state, id, price: state.pricePerGpuHour.amount })
  }
  return listings
}

/** Returns the function that finds the earlier listings of a provider, from the log itself. */
export const earlierListingsIn =
  (world: Pick<World, 'store' | 'commands'>): EarlierListings =>
  async (provider, { gpus, regions }) =>
    (await listingsIn(world)).filter(
      (one) => one.provider === provider && gpus.includes(one.gpu) && regions.includes(one.region),
    )
