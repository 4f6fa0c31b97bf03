import { sleep } from '../../infra/async/sleep.ts'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import type { Log } from '../../infra/telemetry.ts'
import { progressOf } from './progress.ts'
import { completeBuild, isLockTimeout, type OpenedModel, swapBuild } from './versions.ts'
import type { Writer } from './writer.ts'

/** A build is swapped in when it lags by no more than this: while events keep coming, it never reaches the very end. */
const lagMsMax = 1_000
/** Progress is logged after this time, then at this interval. */
const firstLineMs = 1_000
const lineMs = 5_000
/** The pause between two attempts to swap, while long queries read the table. */
const swapPauseMs = 500

export type Builder = {
  /** Logs the progress of the build at intervals. */
  logProgress(position: Position): void
  /** Creates the indexes and swaps the build in, once it has caught up. Resolves to true when the model has to be
   *  opened anew. */
  finish(position: Position, writer: Writer): Promise<boolean>
}

/** Creates the builder that completes a build while a writer fills it. */
export const createBuilder = async (options: {
  readonly store: Pick<EventStore, 'start' | 'head' | 'distance'>
  readonly database: Pick<Database, 'transaction'>
  readonly log: Pick<Log, 'info' | 'warn'>
  readonly opened: OpenedModel
  readonly signal: AbortSignal
}): Promise<Builder> => {
  const { store, database, log, opened, signal } = options
  const { projection } = opened.target
  const { name, version } = projection
  const beganAtMs = performance.now()
  const beganPosition = opened.state.position
  let goal = { head: await store.head(), atMs: beganAtMs }
  let complete = false
  let nextLineAtMs = beganAtMs + firstLineMs

  const logProgress = (position: Position) => {
    const atMs = performance.now()
    if (atMs < nextLineAtMs) return
    nextLineAtMs = atMs + lineMs
    const { percent, perSecond, secondsLeft } = progressOf(store, goal.head, {
      position,
      beganPosition,
      beganAtMs,
      atMs,
    })
    log.info({ projection: name, version, percent, perSecond, secondsLeft }, 'a read model is being built')
  }

  /** Resolves to true when the position was the end of the log at most `lagMsMax` ago. */
  const isCaughtUp = async (position: Position): Promise<boolean> => {
    if (position < goal.head) return false
    const { atMs } = goal
    goal = { head: await store.head(), atMs: performance.now() }
    return goal.head <= position || goal.atMs - atMs <= lagMsMax
  }

  const swap = async (writer: Writer): Promise<boolean> => {
    for (let tries = 0; ; tries++) {
      try {
        const position = await writer.finish()
        const swapped = await swapBuild(database, opened.target, writer.state(), position)
        if (swapped === true)
          log.info(
            { projection: name, version, ms: Math.round(performance.now() - beganAtMs) },
            'a read model was built and swapped in',
          )
        return swapped !== false
      } catch (error) {
        if (!isLockTimeout(error) || signal.aborted) throw error
        if (tries === 0) log.warn({ projection: name, version }, 'a long query delays the swap of a read model')
        await sleep(swapPauseMs, signal)
      }
    }
  }

  return {
    logProgress,
    finish: async (position, writer) => {
      if (!(await isCaughtUp(position))) return false
      await writer.finish()
      if (!complete) {
        await completeBuild(database, opened.target)
        complete = true
        // Creating the indexes may have taken a while.
        if (!(await isCaughtUp(position))) return false
      }
      return swap(writer)
    },
  }
}
