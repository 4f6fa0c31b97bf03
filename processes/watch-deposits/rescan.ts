import type { Chain, ChainCursor, Rescan, Rescans } from '../../infra/chain/port.ts'
import type { Recorder } from './record.ts'

/** As many as are read with proof. */
const blocksAtOnceMax = 256n

type Dependencies = {
  readonly chain: Chain
  readonly cursor: ChainCursor
  readonly rescans: Rescans
  readonly recorder: Recorder
}

/** Reads the next blocks of the oldest open rescan again, and records each deposit that the log does not have as final.
 *  Blocks above the cursor are left out, for they are read anyway. Resolves to the rescan as it is then; undefined when
 *  none is open. */
export const rescanOnce = async ({ chain, cursor, rescans, recorder }: Dependencies): Promise<Rescan | undefined> => {
  const rescan = await rescans.nextOpen()
  if (rescan === undefined) return undefined
  const last = await cursor.load()
  const { next, to: end } = rescan
  const bound = last !== undefined && last.block < end ? last.block : end
  if (last === undefined || next > bound) return finish(rescans, { ...rescan, next: end + 1n })
  const to = bound - next < blocksAtOnceMax ? bound : next + blocksAtOnceMax - 1n
  const { deposits } = await chain.readDeposits({ from: next, to, final: to })
  let { recovered } = rescan
  for (const deposit of deposits) if (await recorder.finalize(deposit)) recovered += 1n
  return finish(rescans, { ...rescan, next: to === bound ? end + 1n : to + 1n, recovered })
}

const finish = async (rescans: Rescans, rescan: Rescan): Promise<Rescan> => {
  await rescans.report(rescan)
  return rescan
}
