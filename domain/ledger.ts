import type { Money } from './money.ts'

/** One balanced entry: the same amount leaves one account of the chart and reaches another, so the sum per asset is zero
 *  at every position of the log. A debit raises an account's figure, a credit lowers it. */
export type Posting = { readonly debit: string; readonly credit: string; readonly amount: Money }

/** The chart of accounts. What goes from one stream to another passes through a transit account: the payer's event
 *  credits nothing else, and the payee's event, caused by it, empties the transit account again. */
export const chart = {
  /** Tokens that the marketplace contract keeps for its users. */
  custody: (chainId: number) => `custody:${chainId}`,
  available: (user: string) => `user:${user}:available`,
  held: (user: string) => `user:${user}:held`,
  depositTransit: (payment: string) => `transit:deposit:${payment}`,
  rentalTransit: (rental: string) => `transit:rental:${rental}`,
}

export const posting = (debit: string, credit: string, amount: Money): Posting => ({ debit, credit, amount })
