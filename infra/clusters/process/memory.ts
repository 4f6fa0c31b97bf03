/** Measures the memory of an attempt by what /proc shows of its processes: their pages, and what they hold without mapping
 *  it. All of it runs in the background: how long Linux takes to show that is up to the job. */
import { errorCode } from '../../system/errors.ts'
import { overGroupLimit } from './attempt-groups.ts'
import type { Group } from './control-groups.ts'
import { createEndingWatch } from './ending.ts'
import { type Held, type HeldOptions, lookAtHeld } from './held.ts'
import { type Pages, proportionalPages, residentPages } from './pages.ts'
import { lookAtWatches, readWatchesMax } from './watches.ts'

/** How long something may stay out of sight: a file on its way through a socket is so for a moment. */
const hiddenMsMax = 10_000
/** Looking at all open files takes longer with many of them: the next look comes no sooner than so many times that long,
 *  but at most `restMsMax` later. */
const restFactor = 20
const restMsMax = 5_000
/** The same for visiting all pages. Meanwhile the last result counts with what was added since; where that is too much, the next one comes at once. */
const exactRestFactor = 4
const exactRestMsMax = 2_000
/** The same for the watches of epoll and inotify, of which a job makes a million in a second; so they may be out of sight
 *  for a shorter time. */
const watchesRestFactor = 4
const watchesRestMsMax = 1_000
const watchesHiddenMsMax = 1_000

/** Why a measurement did not see all: it may stay so for a while. */
type Unseen = Pick<Held, 'hidden' | 'ending'>
type Measure<Result = Unseen> = (pids: readonly number[], now: boolean) => Promise<Result>

export type MemoryWatch = {
  /** Begins to look at these processes, where no look is under way and where one is due. With `now` it looks at all of
   *  them in any case. Resolves when that is done. */
  look(pids: readonly number[], how?: { readonly now: boolean }): Promise<void>
  /** Returns why what was seen so far is too much; undefined when it is not. */
  tooMuch(): string | undefined
  /** Returns what they hold of the disk without a name. */
  nameless(): Pick<Held, 'diskBytes' | 'diskFiles'>
}

/** Returns a watch of the memory of one attempt. It calls `found` when that is too much. */
export const createMemoryWatch = (
  memoryMib: number,
  options: HeldOptions,
  found = () => {},
  group?: Pick<Group, 'usedMib' | 'wasOverLimit'>,
): MemoryWatch => {
  let held: Held = { mapped: 0, unmapped: 0, diskBytes: 0, diskFiles: 0 }
  let exact: { readonly pages: Pages; readonly residentMib: number } | undefined
  let [heldAtMs, exactAtMs, watchesAtMs] = [0, 0, 0]
  let watchesMib = 0
  let watchesUnseen: Unseen = {}
  let watchesMax: number | undefined
  let tooMuch: string | undefined

  const used = (mib: number) => `It used ${Math.ceil(mib)} MiB of ${memoryMib} MiB.`

  const measureHeld: Measure = async (pids, now) => {
    const begun = performance.now()
    if (begun < heldAtMs && !now) return held
    held = await lookAtHeld(pids, options)
    tooMuch ??= held.unmeasured
    const ended = performance.now()
    heldAtMs = ended + Math.min(restFactor * (ended - begun), restMsMax)
    return held
  }

  const measurePages: Measure = async (pids) => {
    const residentMib = (await residentPages(pids)).all
    const unmapped = held.unmapped + watchesMib
    const usedMib = ({ all, shared }: Pages) => all - shared + Math.max(shared, held.mapped) + unmapped
    if (residentMib + held.mapped + unmapped <= memoryMib) return {}
    const begun = performance.now()
    if (exact && begun < exactAtMs && usedMib(exact.pages) + residentMib - exact.residentMib <= memoryMib) return {}
    const pages = await proportionalPages(pids, options.folder)
    const now = performance.now()
    exactAtMs = now + Math.min(exactRestFactor * (now - begun), exactRestMsMax)
    if (typeof pages === 'string') tooMuch ??= 'Its memory cannot be measured: Linux takes too long to show it.'
    else {
      exact = { pages, residentMib }
      const mib = usedMib(pages)
      if (mib > memoryMib) tooMuch ??= used(mib)
    }
    return {}
  }

  const measureWatches: Measure = async (pids, now) => {
    const begun = performance.now()
    if (begun < watchesAtMs && !now) return watchesUnseen
    watchesMax ??= await readWatchesMax()
    const found = await lookAtWatches(pids, { countMax: watchesMax, owner: options.folder, signal: options.signal })
    watchesMib = found.mib
    watchesUnseen = found
    tooMuch ??= found.tooMany
    const ended = performance.now()
    watchesAtMs = ended + Math.min(watchesRestFactor * (ended - begun), watchesRestMsMax)
    return watchesUnseen
  }

  /** Reads what Linux counts for the group of the attempt, which is there also when no process can be read. */
  const measureGroup: Measure = async () => {
    const mib = (await group?.usedMib()) ?? 0
    if (mib > memoryMib) tooMuch ??= used(mib)
    if (await group?.wasOverLimit()) tooMuch ??= overGroupLimit(memoryMib).message
    return {}
  }

  /** Makes a measurement that one look begins at a time. */
  const inBackground = (measure: Measure, unseenMsMax: number): Measure<void> => {
    let running: Promise<void> | undefined
    let hiddenSinceMs: number | undefined
    const tooSlow = createEndingWatch(unseenMsMax)
    const run = async (pids: readonly number[], now: boolean) => {
      const unseen: Unseen = await measure(pids, now).catch((error: unknown) => ({
        hidden: `Its memory cannot be measured: ${errorCode(error) ?? 'an error'}.`,
      }))
      const ended = performance.now()
      hiddenSinceMs = unseen.hidden === undefined ? undefined : (hiddenSinceMs ?? ended)
      if (hiddenSinceMs !== undefined && ended - hiddenSinceMs > unseenMsMax) tooMuch ??= unseen.hidden
      tooMuch ??= tooSlow(unseen.ending ?? [], ended)
      running = undefined
      if (tooMuch !== undefined) found()
    }
    return async (pids, now) => {
      if (running && !now) return
      await running
      running = run(pids, now)
      await running
    }
  }
  const measurements = [
    inBackground(measureWatches, watchesHiddenMsMax),
    inBackground(measureHeld, hiddenMsMax),
    inBackground(measurePages, hiddenMsMax),
    inBackground(measureGroup, hiddenMsMax),
  ]

  return {
    async look(pids, { now } = { now: false }) {
      await Promise.all(measurements.map((measure) => measure(pids, now)))
    },
    tooMuch: () => tooMuch,
    nameless: () => held,
  }
}
