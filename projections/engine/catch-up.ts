import { within } from '../../infra/async/within.ts'
import type { Batch, EventStore, Position, SubscribeOptions } from '../../infra/event-store/port.ts'

/** Runs one piece of the work of a subscription that catches up, when it may run. */
export type CatchUp = <Result>(piece: () => Promise<Result>) => Promise<Result>
/** Runs each piece at once. */
export const atOnce: CatchUp = (piece) => piece()

/** A page that takes longer is waited for outside: a store may be silent although the head is not reached. */
const pageMsMax = 2_000

/** Yields the batches of a subscription, each with the function that runs what is done with it. What was in the log when
 *  the subscription began is read and worked through in pieces that `catchUp` runs; what comes later is live, and waits for
 *  none of them. Ends and throws as the subscription does. */
export async function* inPieces(
  store: Pick<EventStore, 'subscribe' | 'head'>,
  { catchUp, ...options }: SubscribeOptions & { readonly after: Position; readonly catchUp: CatchUp },
): AsyncGenerator<{ readonly batch: Batch; readonly run: CatchUp }, void, undefined> {
  const isShared = catchUp !== atOnce
  const head = isShared ? await store.head() : options.after
  // What is read ahead would be read outside the pieces.
  const batches = store.subscribe({ ...options, readAhead: !isShared })[Symbol.asyncIterator]()
  let at = options.after
  try {
    for (;;) {
      const isBehind = at < head
      const run = isBehind ? catchUp : atOnce
      const next = isBehind ? await read(batches, catchUp) : await batches.next()
      if (next.done) return
      at = next.value.position
      yield { batch: next.value, run }
    }
  } finally {
    await batches.return?.()
  }
}

const read = async (batches: AsyncIterator<Batch>, catchUp: CatchUp): Promise<IteratorResult<Batch>> => {
  let reading: Promise<IteratorResult<Batch>> | undefined
  const inTime = await catchUp(() => {
    reading = batches.next()
    return within<IteratorResult<Batch> | undefined>(reading, pageMsMax, () => undefined)
  })
  return inTime ?? reading ?? batches.next()
}
