import type { Chain, ChainCursor, CustodyReport } from '../../infra/chain/port.ts'

export type CustodyDependencies = {
  readonly chain: Chain
  readonly cursor: ChainCursor
  /** Resolves to what the contract owns by the ledger, in minor units; may lag behind. */
  readonly ledgerCustody: () => Promise<bigint>
  /** ISO 8601 in UTC. */
  readonly now: () => string
}

/** Compares what the contract owns with what it owns by the ledger, as of the newest final block, and stores both. A
 *  ledger that lags behind has less, and every wallet can send tokens to the contract: more is no alarm. Resolves to undefined
 *  before anything is final, and where the node does not keep the state of that block. */
export const compareCustody = async (dependencies: CustodyDependencies): Promise<CustodyReport | undefined> => {
  const { chain, cursor, ledgerCustody, now } = dependencies
  // First the ledger: whatever it has is in a block that is final by the time when the chain is asked.
  const ledger = await ledgerCustody()
  const { final } = await chain.heights()
  if (final < 0n) return undefined
  const contract = await chain.custody(final)
  if (contract === undefined) return undefined
  const report: CustodyReport = { block: final, contract, ledger, checkedAt: now() }
  await cursor.saveCustody(report)
  return report
}

/** Returns how much less the contract owns than it should by the ledger; 0 or more. */
export const missingOf = ({ contract, ledger }: CustodyReport): bigint => (contract < ledger ? ledger - contract : 0n)

/** Returns how much more the contract owns than it should by the ledger: tokens that were sent to it and not paid in. */
export const unaccountedOf = ({ contract, ledger }: CustodyReport): bigint =>
  contract > ledger ? contract - ledger : 0n
