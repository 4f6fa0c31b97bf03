import { Failure } from '../../../domain/errors.ts'
import { sleep } from '../../async/sleep.ts'
import { isAlive, type ProcessIdentity, sendSignal, userOf } from '../../system/processes.ts'
import type { Group } from './control-groups.ts'
import { hasEnded } from './folder.ts'
import { killUser } from './kill-user.ts'
import type { Launch } from './reading.ts'
import type { Members } from './table.ts'

const lookAgainMs = 25
const killMsMax = 10_000
/** How long the wrapper may take beyond the grace. */
const wrapperMsMax = 3_000

/** What has all processes of an attempt in it and no other: Linux ends those at once. */
export type Whole = {
  /** The control group of the attempt, where it has one. */
  readonly group?: Pick<Group, 'kill'> | undefined
  /** The user of the attempt, where its processes end with nothing else. */
  readonly uid?: number | undefined
}

/** Returns what has all processes of an attempt in it. A namespace of processes ends with its first one. */
export const wholeOf = ({ kind, uid }: Pick<Launch, 'kind' | 'uid'>, group: Whole['group']): Whole => ({
  group,
  uid: kind === 'root-namespaces' ? undefined : uid,
})

/** Resolves to what is left of a whole: a first process writes the exit code once it has ended all of the user. */
export const restOf = async (folder: string, { group, uid }: Whole): Promise<Whole> =>
  (await hasEnded(folder)) ? { group } : { group, uid }

/** Ends all processes that `find` returns with SIGKILL, until none is found. They are stopped first: what one of them
 *  starts until then is found while its parent still lives, for afterwards its session no longer names the attempt.
 *  Those of a whole end at once, also where none is found: each may end before it is read. Resolves to false when some are
 *  left after 10 s, because the kernel does not end them. Throws CLUSTER_UNAVAILABLE where a user's cannot be killed as one:
 *  then it is not known whether any runs, those that were found are killed, and what watches over them is left alone. */
export const killProcesses = async (
  find: () => Promise<readonly number[]>,
  { group, uid }: Whole = {},
): Promise<boolean> => {
  if (uid !== undefined) await killAllOf(uid, find, group)
  // Children that start between a look and its signals are found by the next look.
  for (const giveUpAt = performance.now() + killMsMax; performance.now() < giveUpAt; await sleep(lookAgainMs)) {
    await group?.kill()
    const pids = await find()
    if (pids.length === 0 && (await areGone(find))) return true
    for (const pid of pids) sendSignal(pid, 'SIGSTOP')
    for (const pid of new Set([...pids, ...(await find())])) sendSignal(pid, 'SIGKILL')
  }
  return (await find()).length === 0
}

const killAllOf = async (uid: number, find: () => Promise<readonly number[]>, group: Whole['group']): Promise<void> => {
  const giveUpAt = performance.now() + killMsMax
  for (;;) {
    await group?.kill()
    // So many may run that nothing else gets on.
    for (const pid of await find()) if (userOf(pid) === uid) sendSignal(pid, 'SIGSTOP')
    const failed = await killUser(uid)
    if (failed === undefined) return
    // Where the machine has no room for one process more, their end makes it.
    for (const pid of await find()) if (userOf(pid) === uid) sendSignal(pid, 'SIGKILL')
    if (performance.now() > giveUpAt)
      throw new Failure('CLUSTER_UNAVAILABLE', { reason: `the processes of user ${uid} cannot be killed: ${failed}` })
    await sleep(lookAgainMs)
  }
}

/** Resolves to whether a second look finds no process either. /proc is read entry by entry: one look may miss a process
 *  whose parent ends meanwhile. */
const areGone = async (find: () => Promise<readonly number[]>): Promise<boolean> => {
  await sleep(lookAgainMs)
  return (await find()).length === 0
}

/** Has the wrapper carry out the verdict that was written: SIGTERM, the grace, SIGKILL. Where it does not, because it is
 *  gone or the verdict could not be written, this program does. Resolves to false when processes are left. */
export const endAttempt = async (options: {
  readonly folder: string
  readonly first: ProcessIdentity | undefined
  readonly members: () => Promise<Members>
  readonly graceMs: number
  readonly verdictWritten: boolean
  readonly whole: Whole
}): Promise<boolean> => {
  const { folder, first, members, graceMs, verdictWritten, whole } = options
  const all = async () => {
    const { wrapper, job } = await members()
    return [...wrapper, ...job]
  }
  const isOver = async () => (await all()).length === 0 && (await areGone(all))
  if (!(await isOver())) {
    const wrapperRuns = first !== undefined && isAlive(first)
    if (wrapperRuns && verdictWritten) sendSignal(first.pid, 'SIGTERM')
    else if (graceMs > 0) for (const pid of (await members()).job) sendSignal(pid, 'SIGTERM')
    const waitUntil = performance.now() + graceMs + (wrapperRuns && verdictWritten ? wrapperMsMax : 0)
    while (performance.now() < waitUntil && !(await isOver())) {
      if (wrapperRuns && !isAlive(first)) break
      await sleep(lookAgainMs)
    }
  }
  return killProcesses(all, await restOf(folder, whole))
}
