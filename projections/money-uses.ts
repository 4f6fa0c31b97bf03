import { streamOf } from '../domain/aggregates.ts'
import { type Money, money } from '../domain/money.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { decodeStored } from './engine/projection.ts'
import { createSpending, type Funding, type Span } from './money-funding.ts'

/** A rental whose hold has money of a credit. `held` is the part of its hold that was this money, `spent` the part of
 *  what the rental cost. */
export type MoneyUse = { readonly rental: string; readonly held: Money; readonly spent: Money }

/** A credit of an account, and where its money went: the rentals in the order of their holds. `owner` is the wallet of
 *  the account. */
export type MoneyUses = Pick<Funding, 'source' | 'id'> & {
  readonly owner: string
  readonly uses: readonly MoneyUse[]
}

type Reader = Pick<EventStore, 'readStream'>

/** Resolves to the wallet that made a payment; to undefined when there is no such payment. */
export const payerOf = async (store: Reader, payment: string): Promise<string | undefined> => {
  for await (const stored of store.readStream(streamOf('payment', payment), { limit: 1 })) {
    const { event } = decodeStored(stored)
    return event.type === 'DepositObserved' ? event.user : undefined
  }
  return undefined
}

/** Resolves to the wallet that earns from a rental; to undefined when there is no such rental, or it has no provider. */
export const providerOf = async (store: Reader, rental: string): Promise<string | undefined> => {
  for await (const stored of store.readStream(streamOf('rental', rental))) {
    const { event } = decodeStored(stored)
    if (event.type === 'RentalActivated') return event.provider
  }
  return undefined
}

/** Follows the money of a payment, or of what a rental earned, to the rentals that it was held and spent for: the other
 *  direction of `funding` in projections/money-trace.ts. Reads the account of the owner once, however long it is. */
export const followMoney = async (
  store: Reader,
  { source, id, owner }: Omit<MoneyUses, 'uses'>,
): Promise<MoneyUses> => {
  let credit: { readonly asset: Money['asset']; readonly span: Span } | undefined
  const uses = new Map<string, MoneyUse>()
  const partOf = (asset: Money['asset'], spans: readonly Span[]): bigint =>
    credit?.asset === asset ? overlapOf(credit.span, spans) : 0n
  const add = createSpending({
    credited: (seen) => {
      if (seen.source === source && seen.id === id) credit = seen
    },
    held: ({ rental, asset, spans }) => {
      const amount = partOf(asset, spans)
      if (amount > 0n) uses.set(rental, { rental, held: money(amount, asset), spent: money(0n, asset) })
    },
    captured: ({ rental, asset, spans }) => {
      const use = uses.get(rental)
      if (use) uses.set(rental, { ...use, spent: money(use.spent.amount + partOf(asset, spans), asset) })
    },
  })
  for await (const stored of store.readStream(streamOf('account', owner))) add(decodeStored(stored).event)
  return { source, id, owner, uses: [...uses.values()] }
}

/** Returns how much of a range is in spans that do not overlap. */
const overlapOf = ({ from, to }: Span, spans: readonly Span[]): bigint =>
  spans.reduce((sum, span) => {
    const [start, end] = [span.from > from ? span.from : from, span.to < to ? span.to : to]
    return end > start ? sum + end - start : sum
  }, 0n)
