import { Failure } from '../../domain/errors.ts'
import { sleep } from '../../infra/async/sleep.ts'
import type { EventStore } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import { errorClassOf } from '../../infra/system/database-errors.ts'
import type { Log } from '../../infra/telemetry.ts'
import { createBatchFolder } from './fold-batch.ts'
import { explainParked, failureOf, listParked, type ParkedStream } from './parked-streams.ts'
import type { Projection } from './projection.ts'
import { isRowRejected, loadRows, selectRows, writeOrFind } from './rejected-rows.ts'
import { retryParked, targetOf } from './retry.ts'
import type { AnyRow } from './table.ts'

/** The streams that are tried with one transaction. */
const pageStreams = 100
/** The most waiting events of a stream that are tried: those first in line. */
const eventsTriedMax = 100
/** The pause between two passes; it doubles as long as nothing is folded. */
const pauseMsMin = 60_000
const pauseMsMax = 32 * 60_000

type Dependencies = {
  readonly store: Pick<EventStore, 'readStream' | 'parsePosition'>
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly projection: Projection
  readonly signal: AbortSignal
}

/** Retries the parked streams of a read model until the signal aborts, beside its runner, which never waits for it: at
 *  once, because this program may fold what its last run could not, and then now and again, because a stream may have
 *  been parked for a statement that took too long. Never throws. */
export const retryInBackground = async (
  dependencies: Dependencies & { readonly log: Pick<Log, 'info' | 'debug'> },
): Promise<void> => {
  const { projection, log, signal } = dependencies
  for (let pauseMs = pauseMsMin; !signal.aborted; pauseMs = Math.min(pauseMsMax, pauseMs * 2)) {
    try {
      const folded = await retryAllParked(dependencies)
      if (folded > 0) log.info({ projection: projection.name, streams: folded }, 'parked streams were folded')
      if (folded > 0) pauseMs = pauseMsMin
    } catch (error) {
      log.debug({ projection: projection.name, ...failureOf(error) }, 'parked streams could not be retried')
    }
    await sleep(pauseMs, signal)
  }
}

/** Retries all parked streams, page by page. Resolves to the number of streams that are parked no more. What is still
 *  refused costs a stream one reading of its first waiting events, and a page one transaction that writes nothing and
 *  holds up no runner. */
const retryAllParked = async (dependencies: Dependencies): Promise<number> => {
  const { database, signal, projection } = dependencies
  let folded = 0
  for (let after = ''; !signal.aborted; ) {
    const page = await listParked(database.query, { projection }, { after, limit: pageStreams })
    for (const stream of page.length > 0 ? await foldableOf(dependencies, page) : []) {
      if (signal.aborted) break
      const retried = await retryParked({ ...dependencies, stream }).catch((error: unknown) => {
        if (error instanceof Failure && error.code === 'PARKED_STREAM_UNKNOWN') return undefined
        throw error
      })
      if (retried?.outcome === 'folded') folded += 1
    }
    const last = page.at(-1)
    if (page.length < pageStreams || !last) break
    after = last.stream
  }
  return folded
}

/** Resolves to those of the parked streams whose first waiting events are no longer refused. Updates the reasons of the
 *  others. */
const foldableOf = async (dependencies: Dependencies, page: readonly ParkedStream[]): Promise<readonly string[]> => {
  const { database, projection, store, signal } = dependencies
  const target = await targetOf(dependencies)
  if (!target) return []
  const rows: { readonly row: AnyRow; readonly stream: string }[] = []
  const foldable: string[] = []
  const refused = new Map<string, unknown>()
  const load = (keys: readonly string[]) => loadRows((some) => selectRows(database.query, target, some), keys)
  for (const { stream, revision, position } of page) {
    if (signal.aborted) return []
    const folder = createBatchFolder({ projection, cache: new Map(), load })
    for await (const stored of store.readStream(stream, { from: revision, limit: eventsTriedMax }))
      if (projection.types.includes(stored.type)) await folder.add([stored], () => false)
    const batch = folder.finish(store.parsePosition(position))
    const [parking] = batch.parkings
    if (parking?.event.revision === revision) refused.set(stream, parking.error)
    else {
      foldable.push(stream)
      rows.push(...batch.rows)
    }
  }
  // A stream may be parked because its row takes too long to write: that is found here too.
  const isRefusal = (error: unknown) => isRowRejected(error) || errorClassOf(error) === 'overload'
  const found = await database.transaction('projections.tryParked', async (query) => {
    await query('projections.savepoint', 'savepoint trial')
    const problems = await writeOrFind(query, target, rows, isRefusal)
    await query('projections.rollback', 'rollback to savepoint trial')
    return problems
  })
  for (const [stream, error] of found) refused.set(stream, error)
  for (const { stream, code, message } of page) {
    const failure = refused.has(stream) ? failureOf(refused.get(stream)) : { code, message }
    if (failure.code !== code || failure.message !== message)
      await explainParked(database.query, target, stream, failure)
  }
  return foldable.filter((stream) => !refused.has(stream))
}
