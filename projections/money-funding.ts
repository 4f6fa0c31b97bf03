import type { DomainEvent } from '../domain/aggregates.ts'
import { type Money, money } from '../domain/money.ts'

/** The origin of held money: first in, first out. `id` is a payment, or the rental that earned it. */
export type Funding = { readonly source: 'deposit' | 'earnings'; readonly id: string; readonly amount: Money }

/** A credit of the account. Its money is the range from the end of the credit before to `end`, in minor units of
 *  everything that was ever credited in this asset. */
type Credit = Pick<Funding, 'source' | 'id'> & { readonly end: bigint }
/** A range of that money. However many credits it spans, it is one. */
export type Span = { readonly from: bigint; readonly to: bigint }
/** Spans in the order in which they are spent: those that were given back, the next one last, and then what was never
 *  held, which begins at `fresh`. */
type Balance = { readonly credits: Credit[]; credited: bigint; fresh: bigint; readonly returned: Span[] }

/** What happens to the money of an account, as ranges of what was ever credited in an asset. */
type Moved = { readonly asset: Money['asset']; readonly rental: string; readonly spans: readonly Span[] }
type Seen = {
  credited?(credit: Pick<Funding, 'source' | 'id'> & { readonly asset: Money['asset']; readonly span: Span }): void
  held?(moved: Moved & { readonly credits: readonly Credit[] }): void
  captured?(moved: Moved): void
}

/** Folds an account into what its holds consist of. */
type FundingFold = {
  add(event: DomainEvent): void
  /** Returns the deposits and earnings of the hold; none before it was made. */
  funding(): readonly Funding[]
}

/** Creates the fold of an account for the hold of one rental. */
export const createFundingFold = (rental: string): FundingFold => {
  let funding: readonly Funding[] = []
  const add = createSpending({
    held: ({ rental: holder, credits, spans, asset }) => {
      if (holder === rental) funding = partsOf(credits, spans, asset)
    },
  })
  return { add, funding: () => funding }
}

/** Returns the function that takes the events of an account, and calls `seen` with what each of them does to its money.
 *  Money is spent in the order of its arrival, and released money returns to its origin, the last taken first. Each event
 *  costs the same, however many came before. */
export const createSpending = (seen: Seen): ((event: DomainEvent) => void) => {
  const byAsset = new Map<string, Balance>()
  const held = new Map<string, readonly Span[]>()

  const moneyOf = (asset: string): Balance => {
    const known = byAsset.get(asset)
    if (known) return known
    const none: Balance = { credits: [], credited: 0n, fresh: 0n, returned: [] }
    byAsset.set(asset, none)
    return none
  }

  const credit = (of: Balance, asset: Money['asset'], source: Credit['source'], id: string, amount: bigint) => {
    const from = of.credited
    of.credited += amount
    of.credits.push({ source, id, end: of.credited })
    seen.credited?.({ source, id, asset, span: { from, to: of.credited } })
  }

  const hold = (of: Balance, amount: bigint): Span[] => {
    const taken: Span[] = []
    for (let missing = amount; missing > 0n; ) {
      const next = of.returned.pop()
      const span = next ?? { from: of.fresh, to: of.credited }
      const to = span.to - span.from < missing ? span.to : span.from + missing
      if (to === span.from) break
      taken.push({ from: span.from, to })
      missing -= to - span.from
      if (!next) of.fresh = to
      else if (to < next.to) of.returned.push({ from: to, to: next.to })
    }
    return taken
  }

  const keep = (of: string, spans: readonly Span[]) => (spans.length > 0 ? held.set(of, spans) : held.delete(of))

  const giveBack = (of: Balance, spans: readonly Span[]) => {
    for (const { from, to } of spans.toReversed()) {
      const next = of.returned.at(-1)
      // What lies directly before is one span with it again.
      if (next?.from === to) of.returned.splice(-1, 1, { from, to: next.to })
      else if (of.returned.length === 0 && of.fresh === to) of.fresh = from
      else of.returned.push({ from, to })
    }
  }

  return (event) => {
    if (!('posting' in event)) return
    const { amount, asset } = event.posting.amount
    const of = moneyOf(asset)
    if (event.type === 'DepositCredited') credit(of, asset, 'deposit', event.payment, amount)
    if (event.type === 'EarningsCredited') credit(of, asset, 'earnings', event.rental, amount)
    if (event.type === 'FundsHeld') {
      const spans = hold(of, amount)
      held.set(event.rental, spans)
      seen.held?.({ rental: event.rental, asset, spans, credits: of.credits })
    }
    if (event.type === 'HoldCaptured') {
      const [spans, rest] = splitAt(held.get(event.rental) ?? [], amount)
      keep(event.rental, rest)
      seen.captured?.({ rental: event.rental, asset, spans })
    }
    if (event.type === 'HoldReleased') {
      const spans = held.get(event.rental) ?? []
      const [rest, released] = splitAt(spans, lengthOf(spans) - amount)
      keep(event.rental, rest)
      giveBack(of, released)
    }
  }
}

const lengthOf = (spans: readonly Span[]): bigint => spans.reduce((sum, { from, to }) => sum + to - from, 0n)

/** Splits spans at an amount, from the first one on. */
const splitAt = (spans: readonly Span[], amount: bigint): [before: Span[], after: Span[]] => {
  const before: Span[] = []
  const after: Span[] = []
  let left = amount < 0n ? 0n : amount
  for (const { from, to } of spans) {
    const middle = to - from < left ? to : from + left
    if (middle > from) before.push({ from, to: middle })
    if (middle < to) after.push({ from: middle, to })
    left -= middle - from
  }
  return [before, after]
}

/** Returns the parts of credits that spans consist of; neighbouring parts of one credit are one. */
const partsOf = (credits: readonly Credit[], spans: readonly Span[], asset: Money['asset']): Funding[] => {
  const parts: { source: Credit['source']; id: string; amount: bigint }[] = []
  for (const { from, to } of spans)
    for (let index = creditAt(credits, from), at = from; at < to; index++) {
      const credit = credits[index]
      if (!credit) break
      const end = credit.end < to ? credit.end : to
      const last = parts.at(-1)
      if (last?.source === credit.source && last.id === credit.id) last.amount += end - at
      else parts.push({ source: credit.source, id: credit.id, amount: end - at })
      at = end
    }
  return parts.map(({ amount, ...part }) => ({ ...part, amount: money(amount, asset) }))
}

/** Returns the index of the credit that this unit of money belongs to. */
const creditAt = (credits: readonly Credit[], unit: bigint): number => {
  let [low, high] = [0, credits.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((credits[middle]?.end ?? 0n) <= unit) low = middle + 1
    else high = middle
  }
  return low
}
