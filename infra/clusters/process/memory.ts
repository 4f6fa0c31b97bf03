/** Measures the memory of an attempt by what /proc shows of its processes: their pages, and what they hold without mapping
 *  it. All of it runs in the background: how long Linux takes to show that is up to the job. */
import { errorCode } from '../../system/errors.ts'
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

export type MemoryWatch = {
  /** Begins to look at these processes, where no look is under way. */
  look(pids: readonly number[]): void
  /** Returns why what was seen so far is too much; undefined when it is not. */
  tooMuch(): string | undefined
  /** Returns what they hold of the disk without a name, in bytes. */
  namelessDiskBytes(): number
}

/** Returns a watch of the memory of one attempt. It calls `found` when that is too much. */
export const createMemoryWatch = (memoryMib: number, options: HeldOptions, found = () => {}): MemoryWatch => {
  let held: Held = { mapped: 0, unmapped: 0, diskBytes: 0 }
  let exact: { readonly pages: Pages; readonly residentMib: number } | undefined
  let [heldAtMs, exactAtMs, watchesAtMs] = [0, 0, 0]
  let watchesMib = 0
  let watchesHidden: string | undefined
  let watchesMax: number | undefined
  let tooMuch: string | undefined

  const measureHeld = async (pids: readonly number[]): Promise<string | undefined> => {
    const begun = performance.now()
    if (begun < heldAtMs) return held.hidden
    held = await lookAtHeld(pids, options)
    tooMuch ??= held.unmeasured
    const now = performance.now()
    heldAtMs = now + Math.min(restFactor * (now - begun), restMsMax)
    return held.hidden
  }

  const measurePages = async (pids: readonly number[]): Promise<undefined> => {
    const residentMib = (await residentPages(pids)).all
    const unmapped = held.unmapped + watchesMib
    const usedMib = ({ all, shared }: Pages) => all - shared + Math.max(shared, held.mapped) + unmapped
    if (residentMib + held.mapped + unmapped <= memoryMib) return
    const begun = performance.now()
    if (exact && begun < exactAtMs && usedMib(exact.pages) + residentMib - exact.residentMib <= memoryMib) return
    const pages = await proportionalPages(pids, options.folder)
    const now = performance.now()
    exactAtMs = now + Math.min(exactRestFactor * (now - begun), exactRestMsMax)
    if (typeof pages === 'string') tooMuch ??= 'Its memory cannot be measured: Linux takes too long to show it.'
    else {
      exact = { pages, residentMib }
      const used = Math.ceil(usedMib(pages))
      if (used > memoryMib) tooMuch ??= `It used ${used} MiB of ${memoryMib} MiB.`
    }
  }

  const measureWatches = async (pids: readonly number[]): Promise<string | undefined> => {
    const begun = performance.now()
    if (begun < watchesAtMs) return watchesHidden
    watchesMax ??= await readWatchesMax()
    const found = await lookAtWatches(pids, { countMax: watchesMax, owner: options.folder, signal: options.signal })
    watchesMib = found.mib
    watchesHidden = found.hidden
    tooMuch ??= found.tooMany
    const now = performance.now()
    watchesAtMs = now + Math.min(watchesRestFactor * (now - begun), watchesRestMsMax)
    return watchesHidden
  }

  /** Makes a measurement that one look begins at a time. What it resolves to may stay so for a while. */
  const inBackground = (measure: (pids: readonly number[]) => Promise<string | undefined>, unseenMsMax: number) => {
    let runs = false
    let hiddenSinceMs: number | undefined
    return async (pids: readonly number[]) => {
      if (runs) return
      runs = true
      const hidden = await measure(pids).catch(
        (error: unknown) => `Its memory cannot be measured: ${errorCode(error) ?? 'an error'}.`,
      )
      const now = performance.now()
      hiddenSinceMs = hidden === undefined ? undefined : (hiddenSinceMs ?? now)
      if (hiddenSinceMs !== undefined && now - hiddenSinceMs > unseenMsMax) tooMuch ??= hidden
      runs = false
      if (tooMuch !== undefined) found()
    }
  }
  const measurements = [
    inBackground(measureWatches, watchesHiddenMsMax),
    inBackground(measureHeld, hiddenMsMax),
    inBackground(measurePages, hiddenMsMax),
  ]

  return {
    look(pids) {
      for (const measure of measurements) void measure(pids)
    },
    tooMuch: () => tooMuch,
    namelessDiskBytes: () => held.diskBytes,
  }
}
