import { constants, type NodeGCPerformanceDetail, PerformanceObserver } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'

/** A process that is larger gives back what its garbage held. */
const residentBytesMax = 512 * 1024 * 1024
const lookMs = 100
/** Such a collection takes some 50 to 100 ms, and the heap is kept small after it: no more than one in this time. */
const restMs = 1_000

/** What Node shows of a garbage collection; its types leave it out. */
type Collection = { readonly detail: NodeGCPerformanceDetail }

/** Gives memory back to the machine for as long as this process runs, whenever it is larger than `bytesMax`. V8 keeps
 *  the pages of garbage for later objects until the process is idle, which under load it never is, and lets the heap
 *  grow to four times of what lives before it collects again. While its flag for scarce memory is set, a collection
 *  starts sooner and gives the pages back; the flag is set until one such collection has ended, and not again at once. */
export const returnMemory = ({ bytesMax = residentBytesMax }: { readonly bytesMax?: number } = {}): void => {
  let isScarce = false
  let restUntil = 0
  const setScarce = (scarce: boolean) => {
    if (scarce === isScarce) return
    isScarce = scarce
    setFlagsFromString(scarce ? '--memory-saver-mode' : '--no-memory-saver-mode')
  }
  const collections = new PerformanceObserver((list) => {
    const collected = list.getEntries() as unknown as readonly Collection[]
    if (!isScarce || !collected.some(({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR)) return
    restUntil = performance.now() + restMs
    setScarce(false)
  })
  collections.observe({ entryTypes: ['gc'] })
  setInterval(() => {
    if (performance.now() >= restUntil) setScarce(process.memoryUsage.rss() > bytesMax)
  }, lookMs).unref()
}
