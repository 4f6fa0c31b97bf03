/** Processes that are ending: Linux takes back their memory first, and shows nothing of them meanwhile to other users than
 *  root, while they still have their open files. */

/** How long one may take to end: Linux takes back some ten GiB a second. */
const endingMsMax = 30_000
/** How many may take longer than what is hidden may stay so: a job that leaves them no time to end could hide with them
 *  more than it may have. */
const endingMax = 8

const reason = 'Its memory cannot be measured: processes of it do not end, and no longer show what they hold.'

/** Makes a watch of those that each look of a job has met. It returns why they are too many or take too long; undefined
 *  while they end in time, however many come after them.
 *  @param hiddenMsMax how long something may be hidden, in milliseconds. */
export const createEndingWatch = (
  hiddenMsMax: number,
): ((pids: readonly number[], nowMs: number) => string | undefined) => {
  let sinceMs: ReadonlyMap<number, number> = new Map()
  return (pids, nowMs) => {
    sinceMs = new Map(pids.map((pid) => [pid, sinceMs.get(pid) ?? nowMs]))
    const slow = [...sinceMs.values()].map((since) => nowMs - since).filter((ms) => ms > hiddenMsMax)
    return slow.length > endingMax || slow.some((ms) => ms > endingMsMax) ? reason : undefined
  }
}
