import { Failure, isFailure } from '../../domain/errors.ts'
import { sleep } from '../../infra/async/sleep.ts'
import type { Chain, ChainCursor, CursorPlace } from '../../infra/chain/port.ts'

const looksMax = 3
const lookEveryMs = 1_000

/** Throws CHAIN_REPLACED when the chain names itself differently from the one that the cursor is on. */
export const refuseOtherId = ({ id }: Pick<Chain, 'id'>, place: CursorPlace | undefined): void => {
  if (id === undefined || place?.chain === undefined || place.chain === id) return
  throw new Failure('CHAIN_REPLACED', { stored: place.chain, found: id })
}

/** Checks that this is the chain that the cursor is on: by its id, and by the hash of the cursor's block. A node that
 *  does not answer is no other chain, and one that lags behind is asked again. Throws CHAIN_REPLACED. */
export const refuseOtherChain = async (
  { chain, cursor }: { readonly chain: Chain; readonly cursor: Pick<ChainCursor, 'load'> },
  everyMs = lookEveryMs,
): Promise<void> => {
  const place = await cursor.load()
  refuseOtherId(chain, place)
  if (place?.hash === undefined) return
  let found: string | undefined
  for (let looks = 1; looks <= looksMax; looks++) {
    try {
      found = await chain.blockHash(place.block)
    } catch (error) {
      if (isFailure(error, 'CHAIN_UNAVAILABLE')) return
      throw error
    }
    if (found === place.hash) return
    if (looks < looksMax) await sleep(everyMs)
  }
  // A node of a chain without an id may lag behind for long; the watcher waits for it.
  if (found === undefined && chain.id === undefined) return
  throw new Failure('CHAIN_REPLACED', {
    block: String(place.block),
    stored: place.hash,
    found: found ?? 'no block at this height',
  })
}
