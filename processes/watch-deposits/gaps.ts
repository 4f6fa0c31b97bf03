import type { Chain, Deposit } from '../../infra/chain/port.ts'
import type { Recorder } from './record.ts'

/** How far back an earlier deposit of a payer is looked for; what is older is found by a rescan. */
const blocksBackMax = 100_000n

type Dependencies = {
  readonly chain: Chain
  readonly recorder: Recorder
  /** Resolves to how many deposits of a payer (in lower case) on this chain are final; may lag behind. */
  readonly finalCount: (payer: string) => Promise<bigint>
}

/** A payer with a deposit whose earlier ones are not all in the log. `missing` is how many of them. */
export type Gap = { readonly payer: string; readonly missing: bigint }

/** Finds the earlier deposits of payers that the log does not have: the contract counts the deposits of each payer, so
 *  the first one of this range shows how many came before. Call it before the range is recorded. Looks for missing ones
 *  in the blocks before `from` and records them. Resolves to the gaps that remain; a read model that lags behind makes a
 *  search, and no gap. */
export const fillGaps = async (
  { chain, recorder, finalCount }: Dependencies,
  { from, deposits }: { readonly from: bigint; readonly deposits: readonly Deposit[] },
): Promise<readonly Gap[]> => {
  const gaps: Gap[] = []
  for (const [payer, own] of Map.groupBy(deposits, (deposit) => deposit.payer)) {
    const first = own.reduce((least, { sequence }) => (sequence < least ? sequence : least), own[0]?.sequence ?? 0n)
    if (first === 0n) continue
    const counted = await finalCount(payer.toLowerCase())
    const recordedBefore = await countFinal(recorder, own)
    if (counted - recordedBefore >= first) continue
    const start = from > blocksBackMax ? from - blocksBackMax : 0n
    const earlier = (await chain.deposits(start, from - 1n, payer)).filter(({ sequence }) => sequence < first)
    const knownBefore = await countFinal(recorder, earlier)
    for (const deposit of earlier) await recorder.finalize(deposit)
    const notFound = first - BigInt(earlier.length)
    const missing = notFound - (counted - recordedBefore - knownBefore)
    if (notFound > 0n && missing > 0n) gaps.push({ payer, missing: missing < notFound ? missing : notFound })
  }
  return gaps
}

const countFinal = async (recorder: Recorder, deposits: readonly Deposit[]): Promise<bigint> => {
  let count = 0n
  for (const { depositId } of deposits) if (await recorder.isFinal(depositId)) count += 1n
  return count
}
