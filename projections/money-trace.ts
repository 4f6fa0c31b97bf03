import { type EventOf, streamOf } from '../domain/aggregates.ts'
import type { Posting } from '../domain/ledger.ts'
import { formatMoney } from '../domain/money.ts'
import { inChunks } from '../infra/async/chunks.ts'
import type { EventStore, Position, StoredEvent } from '../infra/event-store/port.ts'
import { decodeStored, type EventMetadata } from './engine/projection.ts'
import { createFundingFold, type Funding } from './money-funding.ts'

/** The events of the streams that a trace reads: of the rental, the two accounts and the payments. */
type TraceEvent = EventOf<'rental' | 'account' | 'payment'>

/** One event on the path of the money. `cites` has the ids of the events or transactions that caused it; of an invoice,
 *  the first and last event of each line, up to a bound: the events between are steps of the trace as well. */
export type TraceStep = {
  readonly position: Position
  readonly eventId: string
  readonly type: TraceEvent['type']
  readonly stream: string
  readonly time: string
  readonly what: string
  readonly posting: Posting | undefined
  readonly cites: readonly string[]
}

/** A page of the path of the money of one rental. `steps` are in the order of the log, from the chain transactions to the
 *  invoice. `next` is the position to pass as `after` for the steps that follow; undefined when these are the last. A
 *  deposit and its credit are on one page. */
export type MoneyTrace = {
  readonly rental: string
  readonly renter: string
  readonly provider: string | undefined
  readonly funding: readonly Funding[]
  readonly steps: readonly TraceStep[]
  readonly next: Position | undefined
}

/** The most items of a page: an item is a step, or a deposit with all its steps. */
export const traceItemsMax = 200

type Decoded = { readonly event: TraceEvent; readonly metadata: EventMetadata }
/** What counts once: the event that orders it, and the payment whose events belong to it. */
type Item = { readonly decoded: Decoded; readonly payment?: string }
type Reader = Pick<EventStore, 'readStream'>

/** Resolves to the renter of a rental, from its first event alone; to undefined when there is no such rental. */
export const renterOf = async (store: Reader, rental: string): Promise<string | undefined> => {
  for await (const stored of store.readStream(streamOf('rental', rental), { limit: 1 })) {
    const { event } = decodeTraced(stored)
    return event.type === 'RentalRequested' ? event.renter : undefined
  }
  return undefined
}

/** Traces the money of one rental through the log: the deposits that paid for it, the hold, what was metered, captured,
 *  paid out and released, and the invoice. Reads the rental and the account of the renter once, however long they are,
 *  and the payments of one page. Resolves to undefined when there is no such rental.
 *  @param after the `next` of the page before. */
export const traceMoney = async (
  store: Reader,
  rental: string,
  { after = '', itemsMax = traceItemsMax }: { readonly after?: string; readonly itemsMax?: number } = {},
): Promise<MoneyTrace | undefined> => {
  const renter = await renterOf(store, rental)
  if (renter === undefined) return undefined
  const page = createPage(after, itemsMax)
  let provider: string | undefined
  let endedAt: Position | undefined
  let settledAt: Position | undefined
  for await (const stored of store.readStream(streamOf('rental', rental))) {
    const decoded = decodeTraced(stored)
    if (decoded.event.type === 'RentalActivated') provider = decoded.event.provider
    if (decoded.event.type === 'RentalEnded') endedAt = stored.position
    if (decoded.event.type === 'InvoiceIssued') settledAt = stored.position
    page.add({ decoded })
  }
  const until = settledAt === undefined ? {} : { untilPosition: settledAt }
  const { funding, items } = await readAccount(store, renter, rental, until)
  for (const item of items) page.add(item)
  if (provider !== undefined && provider !== renter && endedAt !== undefined)
    for (const decoded of await earningsOf(store, provider, rental, { ...until, since: endedAt })) page.add({ decoded })
  const { items: shown, next } = page.finish()
  const payments = shown.flatMap(({ payment }) => payment ?? [])
  const paymentSteps = await inChunks(payments, readsAtOnceMax, (chunk) =>
    Promise.all(
      chunk.map(async (payment) =>
        (await Array.fromAsync(store.readStream(streamOf('payment', payment), { limit: paymentEventsMax }))).map(
          decodeTraced,
        ),
      ),
    ),
  )
  const steps = [...paymentSteps.flat(2), ...shown.map(({ decoded }) => decoded)]
    .map(stepOf)
    .sort((a, b) => (a.position < b.position ? -1 : 1))
  return { rental, renter, provider, funding, steps, next }
}

/** Decodes an event of the stream of a rental, an account or a payment: these have no others. */
const decodeTraced = (stored: StoredEvent): Decoded => decodeStored(stored) as Decoded

const readsAtOnceMax = 8
/** A payment is observed, final or vanished, and little more. */
const paymentEventsMax = 20

/** Keeps the first items behind a position. */
const createPage = (after: string, itemsMax: number) => {
  let items: Item[] = []
  let hasMore = false
  const cut = () => {
    items.sort((a, b) => (a.decoded.metadata.position < b.decoded.metadata.position ? -1 : 1))
    hasMore ||= items.length > itemsMax
    items = items.slice(0, itemsMax)
  }
  return {
    add: (item: Item) => {
      if (item.decoded.metadata.position <= after) return
      items.push(item)
      if (items.length >= 2 * itemsMax + 100) cut()
    },
    finish: () => {
      cut()
      return { items, next: hasMore ? items.at(-1)?.decoded.metadata.position : undefined }
    },
  }
}

/** Resolves to what the hold of a rental consists of, and to the items of the account that belong to it. */
const readAccount = async (
  store: Reader,
  renter: string,
  rental: string,
  range: { readonly untilPosition?: Position },
): Promise<{ readonly funding: readonly Funding[]; readonly items: readonly Item[] }> => {
  const fold = createFundingFold(rental)
  const credits = new Map<string, Decoded>()
  const items: Item[] = []
  for await (const stored of store.readStream(streamOf('account', renter), range)) {
    const decoded = decodeTraced(stored)
    fold.add(decoded.event)
    if (decoded.event.type === 'DepositCredited') credits.set(decoded.event.payment, decoded)
    else if ('rental' in decoded.event && decoded.event.rental === rental) items.push({ decoded })
  }
  const funding = fold.funding()
  for (const { source, id } of funding) {
    const credit = source === 'deposit' ? credits.get(id) : undefined
    if (credit) items.push({ decoded: credit, payment: id })
  }
  return { funding, items }
}

/** Resolves to the events with which a provider earned from a rental: they come after its end, and before the invoice
 *  where there is one. */
const earningsOf = async (
  store: Reader,
  provider: string,
  rental: string,
  { since, ...range }: { readonly since: Position; readonly untilPosition?: Position },
): Promise<readonly Decoded[]> => {
  const found: Decoded[] = []
  for await (const stored of store.readStream(streamOf('account', provider), { direction: 'backwards', ...range })) {
    if (stored.position < since) break
    const decoded = decodeTraced(stored)
    if ('rental' in decoded.event && decoded.event.rental === rental) found.push(decoded)
  }
  return found
}

const stepOf = ({ event, metadata: { position, eventId, stream, time, causationId } }: Decoded): TraceStep => ({
  position,
  eventId,
  type: event.type,
  stream,
  time,
  what: describe(event),
  posting: 'posting' in event ? event.posting : undefined,
  cites: citesOf(event, causationId),
})

/** The most ids that a step cites: those of the lines of a year. */
const citesMax = 1_000

const citesOf = (event: TraceEvent, causationId: string): readonly string[] => {
  if (event.type === 'DepositObserved') return [event.transactionHash]
  if (event.type === 'InvoiceIssued')
    return [...new Set(event.lines.flatMap(({ firstEventId, lastEventId }) => [firstEventId, lastEventId]))].slice(
      0,
      citesMax,
    )
  return [causationId]
}

/** Returns a sentence about an event for people; each type has one, or this does not compile. */
const describe = (event: TraceEvent): string => {
  switch (event.type) {
    case 'DepositObserved':
      return `${formatMoney(event.amount)} seen in block ${event.blockNumber}, transaction ${event.transactionHash}`
    case 'DepositFinalized':
      return `${formatMoney(event.posting.amount)} will not be undone by the chain any more`
    case 'DepositVanished':
      return 'the chain has undone the deposit'
    case 'DepositCredited':
      return `${formatMoney(event.posting.amount)} can be spent`
    case 'RentalRequested':
      return `${event.gpuCount} GPU for up to ${event.seconds} s, at most ${formatMoney(event.maxPricePerGpuHour)} per GPU and hour`
    case 'FundsHeld':
      return `${formatMoney(event.posting.amount)} held`
    case 'RentalActivated':
      return `${event.gpu} at ${formatMoney(event.pricePerGpuHour)} per GPU and hour`
    case 'UsageMetered':
      return `${event.runSeconds} s run so far, ${formatMoney(event.fee)} more owed, ${formatMoney(event.total)} together`
    case 'RentalEnded':
      return `${event.reason} after ${event.runSeconds} s, ${formatMoney(event.charged)} owed`
    case 'HoldCaptured':
      return `${formatMoney(event.posting.amount)} taken out of the hold`
    case 'HoldReleased':
      return `${formatMoney(event.posting.amount)} given back`
    case 'EarningsCredited':
      return `${formatMoney(event.posting.amount)} paid to the provider`
    case 'RentalRejected':
      return `the rental was refused: ${event.code}`
    case 'RentalJobAdmitted':
      return `job ${event.job} may run, and has ${event.graceSeconds} s to end after a stop`
    case 'RentalJobClosed':
      return `job ${event.job} has ended`
    case 'RentalEndRequested':
      return `${event.reason}: the rental ends with its last job, and nothing after ${event.billedUntil} is charged`
    case 'HoldRefused':
      return `${formatMoney(event.amount)} not held: ${event.code}`
    case 'InvoiceIssued':
      return `invoice over ${formatMoney(event.total)}`
  }
}
