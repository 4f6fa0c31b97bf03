import { setTimeout as delay } from 'node:timers/promises'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Database } from '../../infra/postgres.ts'
import type { Log } from '../../infra/telemetry.ts'
import { progressOf } from './progress.ts'
import { completeBuild, isLockTimeout, type OpenedModel, swapBuild } from './versions.ts'
import type { Writer } from './writer.ts'

/** What is built takes its place when it is no older than this: while events keep coming, it never stands at the very end. */
const ageMsMax = 1_000
const firstLineMs = 1_000
const lineMs = 5_000
/** Between two attempts to swap, while long queries read the table. */
const swapPauseMs = 500

export type Builder = {
  /** Logs how far the build is, now and then. */
  say(position: Position): void
  /** Once the build has caught up: makes its indexes and swaps it in. True when the model has to be opened anew. */
  finish(position: Position, writer: Writer): Promise<boolean>
}

/** Brings a build that a writer fills to its end. */
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
  let target = { head: await store.head(), atMs: beganAtMs }
  let complete = false
  let nextLineAtMs = beganAtMs + firstLineMs

  const say = (position: Position) => {
    const atMs = performance.now()
    if (atMs < nextLineAtMs) return
    nextLineAtMs = atMs + lineMs
    const { percent, perSecond, secondsLeft } = progressOf(store, target.head, {
      position,
      beganPosition,
      beganAtMs,
      atMs,
    })
    log.info({ projection: name, version, percent, perSecond, secondsLeft }, 'a read model is being built')
  }

  /** True when the position was the end of the log a moment ago. */
  const isCaughtUp = async (position: Position): Promise<boolean> => {
    if (position < target.head) return false
    const { atMs } = target
    target = { head: await store.head(), atMs: performance.now() }
    return target.head <= position || target.atMs - atMs <= ageMsMax
  }

  const swap = async (writer: Writer): Promise<boolean> => {
    for (let tries = 0; ; tries++) {
      try {
        const position = await writer.settle()
        const swapped = await swapBuild(database, opened.target, writer.standing(), position)
        if (swapped === true)
          log.info(
            { projection: name, version, ms: Math.round(performance.now() - beganAtMs) },
            'a read model was built, and is read now',
          )
        return swapped !== false
      } catch (error) {
        if (!isLockTimeout(error) || signal.aborted) throw error
        if (tries === 0)
          log.warn({ projection: name, version }, 'a long query keeps a read model from being swapped in')
        await delay(swapPauseMs, undefined, { signal }).catch(() => undefined)
      }
    }
  }

  return {
    say,
    finish: async (position, writer) => {
      if (!(await isCaughtUp(position))) return false
      await writer.settle()
      if (!complete) {
        await completeBuild(database, opened.target)
        complete = true
        // That may have taken a while.
        if (!(await isCaughtUp(position))) return false
      }
      return swap(writer)
    },
  }
}
