import { Failure } from '../../domain/errors.ts'
import { createBackoff } from '../../infra/async/backoff.ts'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import type { Log } from '../../infra/telemetry.ts'
import { type Builder, createBuilder } from './build.ts'
import { type CheckpointState, markFailed, type ProjectionFailure, type ProjectionTarget } from './checkpoints.ts'
import type { ProjectionMetrics } from './metrics.ts'
import { failureOf, type Parking } from './parked-streams.ts'
import type { Projection } from './projection.ts'
import { retryAllParked } from './retry.ts'
import { type OpenedModel, openModel } from './versions.ts'
import { checkpointConflict, createWriter, refreshModel } from './writer.ts'

/** The number of events from which on a batch is written. */
export const batchSizeDefault = 500
/** The most events of one page. Pages stay small even if a batch is larger, because folded events need no memory. The
 *  subscription reads one page ahead; larger pages would outlive the young generation of the heap (ADR 24). */
const pageEventsMax = 500
const retryMsMin = 100
const retryMsMax = 5_000
/** The most streams parked by one batch that are logged one by one. */
const parkedLinesMax = 10

/** `building`: this version is being built beside the live one. `waiting`: the database or the store does not answer.
 *  `superseded`: a newer version is live or being built. The last two are tried again. */
export type RunnerState =
  | { readonly state: 'starting' | 'building' | 'running' }
  | { readonly state: 'waiting' | 'superseded'; readonly failure: ProjectionFailure }

/** The options of `runProjection`. */
export type RunnerOptions = {
  readonly projection: Projection
  readonly store: Pick<EventStore, 'subscribe' | 'readStream' | 'start' | 'head' | 'parsePosition' | 'distance'>
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly log: Pick<Log, 'error' | 'warn' | 'info' | 'debug'>
  readonly metrics?: ProjectionMetrics | undefined
  readonly batchSize?: number | undefined
  /** Runs a build, perhaps after the builds of other read models. */
  readonly limitBuilds?: <T>(build: () => Promise<T>) => Promise<T>
  /** Called when the live rows reflect the log up to this position. */
  readonly onReached?: (position: Position) => void
  readonly onState?: (state: RunnerState) => void
  readonly signal: AbortSignal
}

/** Keeps one read model up to date until the signal aborts. Each event counts exactly once, whichever process dies and
 *  however many runners there are: one statement writes the rows and moves the checkpoint from the position where it
 *  was read. A version that is not live yet is built beside the live one, and replaces it when it has caught up. An
 *  event that cannot be folded parks its stream. Never throws: retries after an outage, with growing pauses. */
export const runProjection = async (options: RunnerOptions): Promise<void> => {
  const { projection, database, store, log, metrics, signal, onState } = options
  const backoff = createBackoff({ minMs: retryMsMin, maxMs: retryMsMax })
  let lastMessage = ''
  let target: ProjectionTarget | undefined
  let hasRetriedParked = false
  const onProgress = (opened: ProjectionTarget) => {
    backoff.reset()
    lastMessage = ''
    onState?.({ state: opened.kind === 'live' ? 'running' : 'building' })
  }
  while (!signal.aborted) {
    try {
      const opened = await openModel(database, projection, store)
      target = opened.target
      onState?.({ state: target.kind === 'live' ? 'running' : 'building' })
      metrics?.parked(projection.name, opened.state.parked)
      if (!hasRetriedParked && opened.state.parked > 0) {
        hasRetriedParked = true
        // This program may fold what its last run could not: an upcast or a fold may have been corrected.
        const folded = await retryAllParked({ ...options, target })
        if (folded > 0) log.info({ projection: projection.name, streams: folded }, 'parked streams were folded')
        if (folded > 0) continue
      }
      hasRetriedParked = true
      const run = () => follow(options, opened, onProgress)
      await (target.kind === 'build' && options.limitBuilds ? options.limitBuilds(run) : run())
    } catch (error) {
      if (signal.aborted) return
      const { message } = failureOf(error)
      const code = error instanceof Failure ? error.code : 'INTERNAL'
      const superseded = code === 'DATABASE_SCHEMA_NEWER'
      const failure = { code, message }
      const level = message === lastMessage ? 'debug' : superseded ? 'info' : 'warn'
      lastMessage = message
      log[level](
        { projection: projection.name, version: projection.version, ...failure, retryMs: backoff.nextMs },
        superseded ? 'a newer version of this read model has taken over' : 'a read model waits',
      )
      metrics?.failed(projection.name, code)
      onState?.({ state: superseded ? 'superseded' : 'waiting', failure })
      if (target && !superseded) await markFailed(database.query, target, failure).catch(() => undefined)
      await backoff.pause(signal)
    }
  }
}

/** Folds the log from the checkpoint on. Resolves when the signal aborts, or when the model has to be opened anew: the
 *  build was swapped in, or the checkpoint was moved back. Throws on the first failure. */
const follow = async (
  options: RunnerOptions,
  opened: OpenedModel,
  onProgress: (target: ProjectionTarget) => void,
): Promise<void> => {
  if (options.signal.aborted) return
  const builder = opened.target.kind === 'build' ? await createBuilder({ ...options, opened }) : undefined
  for (let from: OpenedModel | undefined = opened; from; ) {
    if (await followFrom(options, from, builder, onProgress)) return
    from = await refreshModel(options.database, from, options.store)
  }
}

/** Resolves to false when another process has moved the checkpoint, and the log has to be read again from there. */
const followFrom = async (
  options: RunnerOptions,
  opened: OpenedModel,
  builder: Builder | undefined,
  onProgress: (target: ProjectionTarget) => void,
): Promise<boolean> => {
  const { projection, store, database, metrics, batchSize: batchEvents = batchSizeDefault } = options
  const { target, state } = opened
  const { types } = projection
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  const pageEvents = Math.min(batchEvents, pageEventsMax)
  const onWritten = (position: Position, events: number, { parked }: CheckpointState) => {
    if (!builder) options.onReached?.(position)
    if (events > 0) {
      metrics?.folded(projection.name, events)
      metrics?.parked(projection.name, parked)
    }
    builder?.logProgress(position)
    onProgress(target)
  }
  const onParked = (parkings: readonly Parking[]) => logParked(options, parkings)
  const onFailed = () => stop.abort() // ends the subscription
  const writer = createWriter({ database, store, opened, pageEvents, batchEvents, onWritten, onParked, onFailed })
  if (!builder) options.onReached?.(state.position)
  try {
    if (await builder?.finish(state.position, writer)) return true
    let head = await store.head()
    const pages = store.subscribe({ types, after: state.position, batchSize: pageEvents, signal })
    for await (const page of pages) {
      // After a full page at the former end of the log, the end may be far ahead by now.
      if (page.position >= head && page.events.length >= pageEvents) head = await store.head()
      await writer.take(page, page.position < head)
      if (await builder?.finish(page.position, writer)) return true
    }
    await writer.finish()
    return true
  } catch (error) {
    if (error !== checkpointConflict) throw error
    return false
  } finally {
    stop.abort()
    await writer.close()
  }
}

/** Logs and counts the parked streams of one batch. */
const logParked = ({ projection, log, metrics }: RunnerOptions, parkings: readonly Parking[]): void => {
  for (const { event, error } of parkings.slice(0, parkedLinesMax)) {
    const { stream, revision, type } = event
    const line = { projection: projection.name, stream, revision: String(revision), type, ...failureOf(error) }
    log.error(line, 'a stream is parked')
  }
  if (parkings.length > parkedLinesMax)
    log.error({ projection: projection.name, streams: parkings.length }, 'more streams are parked than were logged')
  for (const { error } of parkings) metrics?.failed(projection.name, failureOf(error).code)
}
