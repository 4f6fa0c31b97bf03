import { type DomainEvent, streamOf } from '../domain/aggregates.ts'
import type { Posting } from '../domain/ledger.ts'
import { formatMoney, type Money, money } from '../domain/money.ts'
import type { EventStore, Position } from '../infra/event-store/port.ts'
import { decodeStored } from './engine/projection.ts'

/** One event on the path of the money. `cites` has the ids of the events or transactions that caused it. */
export type TraceStep = {
  readonly position: Position
  readonly eventId: string
  readonly type: DomainEvent['type']
  readonly stream: string
  readonly time: string
  readonly what: string
  readonly posting: Posting | undefined
  readonly cites: readonly string[]
}

/** The origin of held money: first in, first out. `id` is a payment, or the rental that earned it. */
export type Funding = { readonly source: 'deposit' | 'earnings'; readonly id: string; readonly amount: Money }

/** The path of the money of one rental. `steps` are in the order of the log, from the chain transactions to the
 *  invoice. */
export type MoneyTrace = {
  readonly rental: string
  readonly renter: string
  readonly provider: string | undefined
  readonly funding: readonly Funding[]
  readonly steps: readonly TraceStep[]
}

type Decoded = ReturnType<typeof decodeStored>

/** Traces the money of one rental through the log: the deposits that paid for it, the hold, what was metered, captured,
 *  paid out and released, and the invoice. Resolves to undefined when there is no such rental. */
export const traceMoney = async (
  store: Pick<EventStore, 'readStream'>,
  rental: string,
): Promise<MoneyTrace | undefined> => {
  const read = async (stream: string): Promise<Decoded[]> =>
    (await Array.fromAsync(store.readStream(stream))).map(decodeStored)
  const rentalEvents = await read(streamOf('rental', rental))
  const requested = rentalEvents[0]?.event
  if (requested?.type !== 'RentalRequested') return undefined
  const activated = rentalEvents.map(({ event }) => event).find((event) => event.type === 'RentalActivated')
  const accountEvents = await read(streamOf('account', requested.renter))
  const funding = fundingOf(
    accountEvents.map(({ event }) => event),
    rental,
  )
  const payments = funding.filter(({ source }) => source === 'deposit').map(({ id }) => id)
  const paymentEvents = (await Promise.all(payments.map((payment) => read(streamOf('payment', payment))))).flat()
  const earnedEvents =
    activated && activated.provider !== requested.renter ? await read(streamOf('account', activated.provider)) : []
  const ofRental = ({ event }: Decoded) => 'rental' in event && event.rental === rental
  const credited = ({ event }: Decoded) => event.type === 'DepositCredited' && payments.includes(event.payment)
  const steps = [
    ...paymentEvents,
    ...accountEvents.filter((decoded) => ofRental(decoded) || credited(decoded)),
    ...earnedEvents.filter(ofRental),
    ...rentalEvents,
  ]
    .map(stepOf)
    .sort((a, b) => (a.position < b.position ? -1 : 1))
  return { rental, renter: requested.renter, provider: activated?.provider, funding, steps }
}

type Lot = { readonly source: Funding['source']; readonly id: string; readonly amount: bigint }

/** Returns the deposits and earnings that the hold of one rental consists of. Money in an account is spent in the order
 *  of its arrival. Released money returns to its origin, the last taken first. Pure. */
export const fundingOf = (events: readonly DomainEvent[], rental: string): readonly Funding[] => {
  const free = new Map<string, Lot[]>()
  const held = new Map<string, Lot[]>()
  let funding: readonly Funding[] = []
  for (const event of events) {
    if (!('posting' in event)) continue
    const { amount, asset } = event.posting.amount
    const lots = free.get(asset) ?? []
    switch (event.type) {
      case 'DepositCredited':
        free.set(asset, [...lots, { source: 'deposit', id: event.payment, amount }])
        break
      case 'EarningsCredited':
        free.set(asset, [...lots, { source: 'earnings', id: event.rental, amount }])
        break
      case 'FundsHeld': {
        const [taken, left] = take(lots, amount)
        free.set(asset, left)
        held.set(event.rental, taken)
        if (event.rental === rental)
          funding = taken.map(({ source, id, amount }) => ({ source, id, amount: money(amount, asset) }))
        break
      }
      case 'HoldCaptured':
        held.set(event.rental, take(held.get(event.rental) ?? [], amount)[1])
        break
      case 'HoldReleased': {
        const back = (held.get(event.rental) ?? []).toReversed()
        const [released, rest] = take(back, amount)
        held.set(event.rental, rest.toReversed())
        free.set(asset, joined([...released.toReversed(), ...lots]))
      }
    }
  }
  return funding
}

/** Joins adjacent parts of the same lot. */
const joined = (lots: readonly Lot[]): Lot[] => {
  const whole: Lot[] = []
  for (const lot of lots) {
    const last = whole.at(-1)
    if (last?.source === lot.source && last.id === lot.id)
      whole.splice(-1, 1, { ...last, amount: last.amount + lot.amount })
    else whole.push(lot)
  }
  return whole
}

/** Splits lots at an amount, from the first lot on. */
const take = (lots: readonly Lot[], amount: bigint): [taken: Lot[], left: Lot[]] => {
  const taken: Lot[] = []
  const left: Lot[] = []
  let missing = amount
  for (const lot of lots) {
    const part = lot.amount < missing ? lot.amount : missing
    if (part > 0n) taken.push({ ...lot, amount: part })
    if (part < lot.amount) left.push({ ...lot, amount: lot.amount - part })
    missing -= part
  }
  return [taken, left]
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

const citesOf = (event: DomainEvent, causationId: string): readonly string[] => {
  if (event.type === 'DepositObserved') return [event.transactionHash]
  if (event.type === 'InvoiceIssued') return event.lines.map(({ eventId }) => eventId)
  return [causationId]
}

/** Returns a sentence about an event for people. */
const describe = (event: DomainEvent): string => {
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
    case 'InvoiceIssued':
      return `invoice over ${formatMoney(event.total)}`
    default:
      return event.type
  }
}
