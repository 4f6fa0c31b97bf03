/** Measures the memory of an attempt by what /proc shows of its processes: their pages, and what they hold without mapping
 *  it. All of it runs in the background: how long Linux takes to show that is up to the job. */
import { errorCode } from '../../system/errors.ts'
import { type Held, type HeldOptions, lookAtHeld } from './held.ts'
import { type Pages, proportionalPages, residentPages } from './pages.ts'

/** How long something may stay out of sight: a file on its way through a socket is so for a moment. */
const hiddenMsMax = 10_000
/** Looking at all open files takes longer with many of them: the next look comes no sooner than so many times that long,
 *  but at most `restMsMax` later. */
const restFactor = 20
const restMsMax = 5_000
/** The same for visiting all pages. Meanwhile the last result counts with what was added since; where that is too much, the next one comes at once. */
const exactRestFactor = 4
const exactRestMsMax = 2_000

export type MemoryWatch = {
  /** Begins to look at these processes, where no look is under way. Returns why what was seen so far is too much;
   *  undefined when it is not. */
  look(pids: readonly number[]): string | undefined
  /** Returns what they hold of the disk without a name, in bytes. */
  namelessDiskBytes(): number
}

/** Returns a watch of the memory of one attempt. */
export const createMemoryWatch = (memoryMib: number, options: HeldOptions): MemoryWatch => {
  let held: Held = { mapped: 0, unmapped: 0, diskBytes: 0 }
  let exact: { readonly pages: Pages; readonly residentMib: number } | undefined
  let [heldAtMs, exactAtMs] = [0, 0]
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
    const usedMib = ({ all, shared }: Pages) => all - shared + Math.max(shared, held.mapped) + held.unmapped
    if (residentMib + held.mapped + held.unmapped <= memoryMib) return
    const begun = performance.now()
    if (exact && begun < exactAtMs && usedMib(exact.pages) + residentMib - exact.residentMib <= memoryMib) return
    const pages = await proportionalPages(pids)
    const now = performance.now()
    exactAtMs = now + Math.min(exactRestFactor * (now - begun), exactRestMsMax)
    if (typeof pages === 'string') tooMuch ??= 'Its memory cannot be measured: Linux takes too long to show it.'
    else {
      exact = { pages, residentMib }
      const used = Math.ceil(usedMib(pages))
      if (used > memoryMib) tooMuch ??= `It used ${used} MiB of ${memoryMib} MiB.`
    }
  }

  /** Makes a measurement that one look begins at a time. What it resolves to may stay so for a while. */
  const inBackground = (measure: (pids: readonly number[]) => Promise<string | undefined>) => {
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
      if (hiddenSinceMs !== undefined && now - hiddenSinceMs > hiddenMsMax) tooMuch ??= hidden
      runs = false
    }
  }
  const measurements = [inBackground(measureHeld), inBackground(measurePages)]

  return {
    look(pids) {
      for (const measure of measurements) void measure(pids)
      return tooMuch
    },
    namelessDiskBytes: () => held.diskBytes,
  }
}
