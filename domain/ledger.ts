import type { Money } from './money.ts'

/** One balanced entry: the same amount leaves one account of the chart and reaches another, so the sum per asset is
 *  zero at every position of the log. A debit raises the balance of an account, a credit lowers it. */
export type Posting = { readonly debit: string; readonly credit: string; readonly amount: Money }

/** The chart of accounts of the ledger. Money that goes from one stream to another passes through a transit account:
 *  the payer's event moves it there, and the payee's event, which the former causes, empties the transit account
 *  again. */
export const chart = {
  /** Tokens that the marketplace contract holds for its users. */
  custody: (chainId: number) => `custody:${chainId}`,
  available: (user: string) => `user:${user}:available`,
  held: (user: string) => `user:${user}:held`,
  depositTransit: (payment: string) => `transit:deposit:${payment}`,
  rentalTransit: (rental: string) => `transit:rental:${rental}`,
}

/** Returns a posting that moves an amount from `credit` to `debit`. */
export const posting = (debit: string, credit: string, amount: Money): Posting => ({ debit, credit, amount })
