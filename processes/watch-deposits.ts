import type { Commands } from '../commands/execute.ts'
import { Failure } from '../domain/errors.ts'
import { createBackoff } from '../infra/async/backoff.ts'
import { sleep } from '../infra/async/sleep.ts'
import type { Chain, ChainCursor, CustodyReport, DepositsRead, Rescans } from '../infra/chain/port.ts'
import type { Log } from '../infra/telemetry.ts'
import { compareCustody, missingOf } from './watch-deposits/custody.ts'
import { fillGaps, type Gap } from './watch-deposits/gaps.ts'
import { createRecorder, type Recorder } from './watch-deposits/record.ts'
import { rescanOnce } from './watch-deposits/rescan.ts'
import { refuseOtherId } from './watch-deposits/same-chain.ts'

export { compareCustody, missingOf, unaccountedOf } from './watch-deposits/custody.ts'
export { createRecorder } from './watch-deposits/record.ts'
export { rescanOnce } from './watch-deposits/rescan.ts'
export { refuseOtherChain } from './watch-deposits/same-chain.ts'

type Dependencies = {
  readonly chain: Chain
  readonly cursor: ChainCursor
  readonly commands: Commands
  /** Resolves to the ids of payments that were observed in a block up to `block` and are not final; may lag behind. */
  readonly pendingPayments: (block: bigint) => Promise<readonly string[]>
  /** Resolves to how many deposits of a payer (in lower case) on this chain are final; may lag behind. */
  readonly finalCount: (payer: string) => Promise<bigint>
  /** ISO 8601 in UTC. */
  readonly now: () => string
  readonly onGap?: (gap: Gap) => void
}

const blocksAtOnceMax = 5_000n

/** Reads the chain once. Every block above the cursor is read again each time, because it may still change: a deposit
 *  in it is observed. A deposit in a final block is final, and only then is it money. A deposit that was observed in
 *  such a block and is proved not to be in it any more has vanished. Resolves to whether there are more blocks to read.
 *  Throws CHAIN_NODES_DISAGREE and CHAIN_REPLACED, and then has recorded nothing of this range. */
export const watchOnce = async (dependencies: Dependencies): Promise<boolean> => {
  const { chain, cursor, commands, finalCount, now, onGap = () => undefined } = dependencies
  const { head, final } = await chain.heights()
  const place = await cursor.load()
  refuseOtherId(chain, place)
  const from = (place?.block ?? -1n) + 1n
  if (head < from) return false
  const asked = head - from < blocksAtOnceMax ? head : from + blocksAtOnceMax - 1n
  const read = await chain.readDeposits({ from, to: asked, final, after: place?.hash })
  const { to } = read
  const deposits = read.deposits.filter(({ token }) => same(token, chain.description.token))
  const finalTo = final < to ? final : to
  const recorder = createRecorder({ chain, commands, now })
  const isFinal = ({ blockNumber }: { blockNumber: bigint }) => blockNumber <= finalTo

  const gaps = await fillGaps({ chain, recorder, finalCount }, { from, deposits: deposits.filter(isFinal) })
  for (const deposit of deposits)
    if (isFinal(deposit)) await recorder.finalize(deposit)
    else await recorder.observe(deposit)
  await reportVanished(dependencies, recorder, read, finalTo)
  if (finalTo >= from) await cursor.save({ block: finalTo, hash: read.hashes.get(finalTo), chain: chain.id })
  for (const gap of gaps) onGap(gap)
  return to < head
}

/** Reports the observed deposits of final blocks that are not there any more. Each one that the range does not prove to
 *  be gone is looked up in its own block, with proof. */
const reportVanished = async (
  { chain, commands, pendingPayments }: Dependencies,
  recorder: Recorder,
  read: DepositsRead,
  finalTo: bigint,
): Promise<void> => {
  const found = new Set<string>(read.deposits.map(({ depositId }) => depositId))
  for (const payment of await pendingPayments(finalTo)) {
    const { state } = await commands.current('payment', payment)
    if (state.status !== 'observed' || state.blockNumber > finalTo || found.has(payment)) continue
    const { blockNumber: height } = state
    if (!read.proved || !read.hashes.has(height)) {
      const { deposits } = await chain.readDeposits({ from: height, to: height, final: height })
      const there = deposits.find(({ depositId }) => depositId === payment)
      if (there) {
        await recorder.finalize(there)
        continue
      }
    }
    await recorder.vanish(payment)
  }
}

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()

const pollEveryMs = 400
const pauseMsMin = 800
const pauseMsMax = 5_000
const compareEveryMs = 60_000
/** A shortage is looked at again before it is an alarm: nodes answer as of different blocks. */
const compareAgainMs = 5_000

type Watching = Dependencies & {
  readonly rescans: Rescans
  readonly ledgerCustody: () => Promise<bigint>
  readonly onCustody: (report: CustodyReport) => void
  readonly log: Log
  readonly signal: AbortSignal
}

/** Watches until the signal aborts. While the chain or the database is away, or nodes disagree, it tries again, and logs
 *  that once. Between looks it works through rescans, and compares custody once a minute. */
export const watchDeposits = async (watching: Watching): Promise<void> => {
  const { log, signal } = watching
  const onGap = ({ payer, missing }: Gap) =>
    log.error({ payer, missing: String(missing) }, 'earlier deposits of this payer are missing: npm run rescan')
  const custody = custodyWatch(watching)
  const backoff = createBackoff({ minMs: pauseMsMin, maxMs: pauseMsMax })
  while (!signal.aborted) {
    try {
      const more = await watchOnce({ onGap, ...watching })
      const rescan = more ? undefined : await rescanOnce({ ...watching, recorder: createRecorder(watching) })
      if (rescan !== undefined && rescan.next > rescan.to)
        log.info({ rescan: String(rescan.id), recovered: String(rescan.recovered) }, 'rescan done')
      if (!more) await custody()
      if (!backoff.isFresh) log.info('the chain is watched again')
      backoff.reset()
      if (!more && rescan === undefined) await sleep(pollEveryMs, signal)
    } catch (error) {
      const code = error instanceof Failure ? error.code : 'INTERNAL'
      if (backoff.isFresh) log.warn({ err: error, code }, 'the chain cannot be watched; trying again')
      await backoff.pause(signal)
    }
  }
}

/** Makes the comparison of custody at its pace. A shortage that is still there at the second look is logged as an
 *  error, once. */
const custodyWatch = (watching: Watching): (() => Promise<void>) => {
  const { log, onCustody } = watching
  let dueAtMs = 0
  let shortLooks = 0
  return async () => {
    if (performance.now() < dueAtMs) return
    const report = await compareCustody(watching)
    const short = report !== undefined && missingOf(report) > 0n
    shortLooks = short ? shortLooks + 1 : 0
    dueAtMs = performance.now() + (shortLooks === 1 ? compareAgainMs : compareEveryMs)
    if (report === undefined || shortLooks === 1) return
    onCustody(report)
    if (shortLooks === 2)
      log.error(
        { missing: String(missingOf(report)), block: String(report.block) },
        'the contract owns less than the ledger says',
      )
  }
}
