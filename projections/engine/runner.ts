import { setTimeout as delay } from 'node:timers/promises'
import { Failure } from '../../domain/errors.ts'
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
import { createWriter, lostRace, standAfter } from './writer.ts'

export const batchSizeDefault = 500
/** Events are read by so many, also where more are written at once: those that are folded already need no memory. The
 *  subscription reads one page ahead; more of them would outlive the young generation (ADR 24). */
const pageEventsMax = 500
const retryMsMin = 100
const retryMsMax = 5_000
/** Of the streams that one batch parks, at most so many are logged one by one. */
const parkedLinesMax = 10

/** `building`: this version is being built beside the one that is read. `waiting`: the database or the store does not answer.
 *  `superseded`: a newer version is read or being built. The last two are tried again. */
export type RunnerState =
  | { readonly state: 'starting' | 'building' | 'running' }
  | { readonly state: 'waiting' | 'superseded'; readonly failure: ProjectionFailure }

export type RunnerOptions = {
  readonly projection: Projection
  readonly store: Pick<EventStore, 'subscribe' | 'readStream' | 'start' | 'head' | 'parsePosition' | 'distance'>
  readonly database: Pick<Database, 'query' | 'transaction'>
  readonly log: Pick<Log, 'error' | 'warn' | 'info' | 'debug'>
  readonly metrics?: ProjectionMetrics | undefined
  readonly batchSize?: number | undefined
  /** Runs a build, perhaps after those of others. */
  readonly takeTurn?: <T>(build: () => Promise<T>) => Promise<T>
  /** The rows that are read reflect the log up to here. */
  readonly onReached?: (position: Position) => void
  readonly onState?: (state: RunnerState) => void
  readonly signal: AbortSignal
}

/** Keeps one read model up to date until the signal aborts. Each event counts exactly once, whatever dies and however many
 *  runners there are: rows and checkpoint are written in one statement that moves the checkpoint from where it was found. A
 *  version that is not read yet is built beside the one that is, and takes its place when it has caught up. An event that
 *  cannot be folded parks its stream. Never throws: an outage is waited for, with growing pauses. */
export const runProjection = async (options: RunnerOptions): Promise<void> => {
  const { projection, database, store, log, metrics, signal, onState } = options
  let pauseMs = retryMsMin
  let lastMessage = ''
  let place: ProjectionTarget | undefined
  let retried = false
  const well = (opened: ProjectionTarget) => {
    pauseMs = retryMsMin
    lastMessage = ''
    onState?.({ state: opened.kind === 'live' ? 'running' : 'building' })
  }
  while (!signal.aborted) {
    try {
      const opened = await openModel(database, projection, store)
      place = opened.target
      onState?.({ state: place.kind === 'live' ? 'running' : 'building' })
      metrics?.parked(projection.name, opened.state.parked)
      if (!retried && opened.state.parked > 0) {
        retried = true
        // What this program could not fold when it ran last, it perhaps can now: an upcast or a fold may have been mended.
        const folded = await retryAllParked({ ...options, place })
        if (folded > 0) log.info({ projection: projection.name, streams: folded }, 'parked streams go on')
        if (folded > 0) continue
      }
      retried = true
      const run = () => follow(options, opened, well)
      await (place.kind === 'build' && options.takeTurn ? options.takeTurn(run) : run())
    } catch (error) {
      if (signal.aborted) return
      const { message } = failureOf(error)
      const code = error instanceof Failure ? error.code : 'INTERNAL'
      const superseded = code === 'DATABASE_SCHEMA_NEWER'
      const failure = { code, message }
      const level = message === lastMessage ? 'debug' : superseded ? 'info' : 'warn'
      lastMessage = message
      log[level](
        { projection: projection.name, version: projection.version, ...failure, retryMs: pauseMs },
        superseded ? 'a newer version of this read model has taken over' : 'a read model waits',
      )
      metrics?.failed(projection.name, code)
      onState?.({ state: superseded ? 'superseded' : 'waiting', failure })
      if (place && !superseded) await markFailed(database.query, place, failure).catch(() => undefined)
      await delay(pauseMs, undefined, { signal }).catch(() => undefined)
      pauseMs = Math.min(pauseMs * 2, retryMsMax)
    }
  }
}

/** Goes through the log from the checkpoint. Ends when the signal aborts, or the model has to be opened anew: what was built is
 *  read now, or the checkpoint was put back. Throws on the first failure. */
const follow = async (
  options: RunnerOptions,
  opened: OpenedModel,
  well: (place: ProjectionTarget) => void,
): Promise<void> => {
  if (options.signal.aborted) return
  const builder = opened.target.kind === 'build' ? await createBuilder({ ...options, opened }) : undefined
  for (let from: OpenedModel | undefined = opened; from; ) {
    if (await followFrom(options, from, builder, well)) return
    from = await standAfter(options.database, from, options.store)
  }
}

/** False when somebody else has moved the checkpoint, and all is to be read again from there. */
const followFrom = async (
  options: RunnerOptions,
  opened: OpenedModel,
  builder: Builder | undefined,
  well: (place: ProjectionTarget) => void,
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
    builder?.say(position)
    well(target)
  }
  const onParked = (parkings: readonly Parking[]) => sayParked(options, parkings)
  const onFailed = () => stop.abort() // ends the subscription
  const writer = createWriter({ database, store, opened, pageEvents, batchEvents, onWritten, onParked, onFailed })
  if (!builder) options.onReached?.(state.position)
  try {
    if (await builder?.finish(state.position, writer)) return true
    let head = await store.head()
    const pages = store.subscribe({ types, after: state.position, batchSize: pageEvents, signal })
    for await (const page of pages) {
      // A full page at what was the end of the log: by now it may end far behind.
      if (page.position >= head && page.events.length >= pageEvents) head = await store.head()
      await writer.take(page, page.position < head)
      if (await builder?.finish(page.position, writer)) return true
    }
    await writer.settle()
    return true
  } catch (error) {
    if (error !== lostRace) throw error
    return false
  } finally {
    stop.abort()
    await writer.close()
  }
}

const sayParked = ({ projection, log, metrics }: RunnerOptions, parkings: readonly Parking[]): void => {
  for (const { event, error } of parkings.slice(0, parkedLinesMax)) {
    const { stream, revision, type } = event
    const line = { projection: projection.name, stream, revision: String(revision), type, ...failureOf(error) }
    log.error(line, 'a stream is parked')
  }
  if (parkings.length > parkedLinesMax)
    log.error({ projection: projection.name, streams: parkings.length }, 'and more streams are parked')
  for (const { error } of parkings) metrics?.failed(projection.name, failureOf(error).code)
}
