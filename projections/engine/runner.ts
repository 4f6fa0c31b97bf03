import { type ErrorCode, Failure } from '../../domain/errors.ts'
import { createBackoff } from '../../infra/async/backoff.ts'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import { errorClassOf } from '../../infra/system/database-errors.ts'
import type { Log } from '../../infra/telemetry.ts'
import { retryInBackground } from './background-retry.ts'
import { type Builder, createBuilder } from './build.ts'
import { type CheckpointState, markFailed, type ProjectionFailure, type ProjectionTarget } from './checkpoints.ts'
import type { GroupWriter } from './group-writer.ts'
import type { ProjectionMetrics } from './metrics.ts'
import { createNarrowing, type Narrowing } from './narrowing.ts'
import { failureOf, type Parking } from './parked-streams.ts'
import type { Projection } from './projection.ts'
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
/** A defect is logged this often as long as the read model stands still. */
const defectLineMs = 60_000

/** `building`: this version is being built beside the live one. `waiting`: the database or the store does not answer.
 *  `superseded`: a newer version is live or being built. The last two are tried again. */
export type RunnerState =
  | { readonly state: 'starting' | 'building' | 'running' }
  | { readonly state: 'waiting' | 'superseded'; readonly failure: ProjectionFailure }

/** The options of `runProjection`. */
export type RunnerOptions = {
  readonly projection: Projection
  readonly store: Pick<
    EventStore,
    'subscribe' | 'readStream' | 'readAll' | 'start' | 'head' | 'parsePosition' | 'distance'
  >
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly log: Pick<Log, 'error' | 'warn' | 'info' | 'debug'>
  readonly metrics?: ProjectionMetrics | undefined
  /** Shared with other read models; left out, this one writes alone. */
  readonly group?: GroupWriter | undefined
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
 *  was read. A version that is not live yet is built beside the live one, and replaces it when it has caught up. What
 *  is done about an error depends on its class: an event that is refused parks its stream, a statement that takes too
 *  long or too much again and again is made smaller, and everything else is tried again with growing pauses, a defect
 *  loudly. Never throws. */
export const runProjection = async (options: RunnerOptions): Promise<void> => {
  const { projection, database, store, metrics, signal, onState, batchSize = batchSizeDefault } = options
  const backoff = createBackoff({ minMs: retryMsMin, maxMs: retryMsMax })
  const narrowing = createNarrowing(batchSize)
  const report = createFailureReport(options)
  let target: ProjectionTarget | undefined
  let retrying: Promise<void> | undefined
  const onProgress = (opened: ProjectionTarget) => {
    backoff.reset()
    report.recovered()
    onState?.({ state: opened.kind === 'live' ? 'running' : 'building' })
  }
  while (!signal.aborted) {
    try {
      const opened = await openModel(database, projection, store)
      target = opened.target
      onState?.({ state: target.kind === 'live' ? 'running' : 'building' })
      metrics?.parked(projection.name, opened.state.parked)
      retrying ??= retryInBackground(options)
      const run = () => follow(options, opened, narrowing, onProgress)
      await (target.kind === 'build' && options.limitBuilds ? options.limitBuilds(run) : run())
    } catch (error) {
      if (signal.aborted) break
      const failure = failureToWait(error)
      const superseded = failure.code === 'DATABASE_SCHEMA_NEWER'
      report.failed(failure, backoff.nextMs)
      onState?.({ state: superseded ? 'superseded' : 'waiting', failure })
      if (target && !superseded) await markFailed(database.query, target, failure).catch(() => undefined)
      await backoff.pause(signal)
    }
  }
  await retrying
}

/** Returns why a read model waits. */
const failureToWait = (error: unknown): ProjectionFailure & { readonly code: ErrorCode } => {
  const { message } = failureOf(error)
  if (error instanceof Failure) return { code: error.code, message }
  return { code: errorClassOf(error) === 'defect' ? 'READ_MODEL_DEFECTIVE' : 'DATABASE_UNAVAILABLE', message }
}

/** Creates the log of failures: each is logged once until the read model goes on, a defect once a minute. */
const createFailureReport = ({ projection: { name, version }, log, metrics }: RunnerOptions) => {
  let lastMessage = ''
  let defectLoggedMs = Number.NEGATIVE_INFINITY
  const levelOf = ({ code, message }: ProjectionFailure) => {
    const isNew = message !== lastMessage
    if (code === 'DATABASE_SCHEMA_NEWER') return isNew ? 'info' : 'debug'
    if (code !== 'READ_MODEL_DEFECTIVE') return isNew ? 'warn' : 'debug'
    if (!isNew && performance.now() - defectLoggedMs < defectLineMs) return 'debug'
    defectLoggedMs = performance.now()
    return 'error'
  }
  return {
    failed: (failure: ProjectionFailure, retryMs: number) => {
      log[levelOf(failure)](
        { projection: name, version, ...failure, retryMs },
        failure.code === 'DATABASE_SCHEMA_NEWER'
          ? 'a newer version of this read model has taken over'
          : failure.code === 'READ_MODEL_DEFECTIVE'
            ? 'a read model stands still, and nothing is parked'
            : 'a read model waits',
      )
      lastMessage = failure.message
      metrics?.failed(name, failure.code)
    },
    recovered: () => {
      lastMessage = ''
    },
  }
}

/** Folds the log from the checkpoint on. Resolves when the signal aborts, or when the model has to be opened anew: the
 *  build was swapped in, or the checkpoint was moved back. Throws on the first failure. */
const follow = async (
  options: RunnerOptions,
  opened: OpenedModel,
  narrowing: Narrowing,
  onProgress: (target: ProjectionTarget) => void,
): Promise<void> => {
  if (options.signal.aborted) return
  const builder = opened.target.kind === 'build' ? await createBuilder({ ...options, opened }) : undefined
  for (let from: OpenedModel | undefined = opened; from; ) {
    if (await followFrom(options, from, builder, narrowing, onProgress)) return
    from = await refreshModel(options.database, from, options.store)
  }
}

/** Resolves to false when the log has to be read again from the checkpoint: another process has moved it, or the batches
 *  may be larger from now on. */
const followFrom = async (
  options: RunnerOptions,
  opened: OpenedModel,
  builder: Builder | undefined,
  narrowing: Narrowing,
  onProgress: (target: ProjectionTarget) => void,
): Promise<boolean> => {
  const { projection, store, database, metrics } = options
  const { events: batchEvents, refuse } = narrowing.size()
  const { target, state } = opened
  const { types } = projection
  const stop = new AbortController()
  const signal = AbortSignal.any([options.signal, stop.signal])
  const pageEvents = Math.min(batchEvents, pageEventsMax)
  let taken = 0
  let mayWiden = false
  const onWritten = (position: Position, events: number, { parked }: CheckpointState) => {
    if (!builder) options.onReached?.(position)
    if (events > 0) {
      taken -= events
      mayWiden = narrowing.written() || mayWiden
      metrics?.folded(projection.name, events)
      metrics?.parked(projection.name, parked)
    }
    builder?.logProgress(position)
  }
  const onMoved = () => onProgress(target)
  const onParked = (parkings: readonly Parking[]) => logParked(options, parkings)
  const onFailed = () => stop.abort() // ends the subscription
  const writer = createWriter({
    database,
    store,
    group: options.group,
    opened,
    refuse,
    pageEvents,
    batchEvents,
    onWritten,
    onMoved,
    onParked,
    onFailed,
  })
  if (!builder) options.onReached?.(state.position)
  try {
    if (await builder?.finish(state.position, writer)) return true
    let head = await store.head()
    const pages = store.subscribe({ types, after: state.position, batchSize: pageEvents, signal })
    for await (const page of pages) {
      // After a full page at the former end of the log, the end may be far ahead by now.
      if (page.position >= head && page.events.length >= pageEvents) head = await store.head()
      taken += page.events.length
      await writer.take(page, page.position < head)
      if (await builder?.finish(page.position, writer)) return true
      if (!mayWiden) continue
      await writer.finish()
      return false
    }
    await writer.finish()
    return true
  } catch (error) {
    if (error === checkpointConflict) return false
    // A statement without events is no smaller for fewer of them.
    if (taken > 0 && errorClassOf(error) === 'overload') narrowing.overloaded(writer.state().position, taken, error)
    throw error
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
