/** Measures attempts whose processes come and go faster than they can be read: a job could hand what it holds from one to
 *  the next, and be seen with nothing. Where a control group can stop them all, they are measured while they stand still.
 *  Without one, a job whose orphans end before they can be read, look after look, cannot be measured. */
import { readFileSync } from 'node:fs'
import { sleep } from '../../async/sleep.ts'
import { isRunning, readProcessFile, userOf } from '../../system/processes.ts'
import type { Group } from './control-groups.ts'
import type { IsolationKind } from './isolation.ts'
import type { MemoryWatch } from './memory.ts'
import type { Members } from './table.ts'

/** After so many looks in a row that did not see all processes of the group, they are stopped for one. */
const unsteadyMax = 3
/** What is gone so long after a look began may have been missed by it. */
const shortestLookMs = 50
const longestLookMs = 1_000
const stillRestMs = 1_000
const stillRestFactor = 20
const stillRestMsMax = 3_000
/** How long a job may stand still: reading what it holds may take longer, and then goes on while it runs. */
const stillMsMax = 5_000
/** Each look at a job without a group looks so many times for orphans among the newest processes of the machine. */
const samples = 12
const newestMax = 4
const sampleMs = 2
/** An orphan that no look has read counts one, a look without such takes one off. */
const escapesMax = 4

const escaped =
  'Its memory cannot be measured: again and again a process of it ends before it is read, and leaves another behind.'

/** Names the processes of one attempt: those of its user, or those whose process table is that of its first one. */
export type Kin = { readonly kind: IsolationKind; readonly uid: number | undefined }

export type SteadyLook = {
  /** Begins to measure these processes. */
  look(members: Members): Promise<void>
  /** Returns why the attempt cannot be measured; undefined when it can. */
  tooMuch(): string | undefined
  /** Resolves when no process stands still any more. */
  settled(): Promise<void>
}

const lastPid = (): number => Number(readFileSync('/proc/loadavg', 'utf8').trim().split(' ').at(-1))
/** Returns the numbers in a line of /proc/<pid>/status. All lines are of one moment. */
const numbersIn = (status: string, name: string): number[] =>
  status
    .split('\n')
    .find((line) => line.startsWith(`${name}:`))
    ?.match(/\d+/g)
    ?.map(Number) ?? []
const statusOf = (pid: number): string => readProcessFile(pid, 'status')

/** Returns whether the walls of an attempt stand, by the mounts of its first process (proc(5), mountinfo). Until then that
 *  one runs the commands that build them, and these are no orphans, however long that takes. */
export const wallsStand = (mounts: string): boolean =>
  mounts === '' || /^\S+ \S+ \S+ \S+ \/ .* - tmpfs jail /m.test(mounts)

/** Returns the process that orphans of the job are given to, where it has a process table of its own. */
const reaperOf = (pids: readonly number[]): number | undefined =>
  pids.find((pid) => {
    const names = numbersIn(statusOf(pid), 'NSpid')
    return names.length > 1 && names.at(-1) === 1
  })

/** Returns a way to look at one attempt, as often as its limits are checked. */
export const createSteadyLook = (options: {
  readonly kin: Kin
  readonly group: Group | undefined
  readonly memory: Pick<MemoryWatch, 'look'>
}): SteadyLook => {
  const { kin, group, memory } = options
  let [unsteady, restUntilMs, escapes] = [0, 0, 0]
  let looking: Promise<void> | undefined
  let newest = lastPid()
  let unread: readonly number[] = []
  let reaper: number | undefined
  let isBuilt = kin.kind !== 'root-namespaces' && kin.kind !== 'user-namespaces'

  const lookWhileStill = async (stopping: Group): Promise<void> => {
    const begun = performance.now()
    try {
      await stopping.freeze()
      await Promise.race([memory.look(await stopping.pids(), { now: true }), sleep(stillMsMax)])
    } finally {
      await stopping.thaw()
      const now = performance.now()
      restUntilMs = now + Math.min(Math.max(stillRestMs, stillRestFactor * (now - begun)), stillRestMsMax)
      unsteady = 0
    }
  }
  /** Notes whether a look has missed processes of the group, and stops them for one where several in a row have. */
  const lookInGroup = async (stopping: Group, pids: readonly number[], measured: Promise<void>): Promise<void> => {
    await Promise.all([Promise.race([measured, sleep(longestLookMs)]), sleep(shortestLookMs)])
    unsteady = (await stopping.listed()).every((pid) => pids.includes(pid)) ? 0 : unsteady + 1
    if (unsteady < unsteadyMax || performance.now() < restUntilMs) return
    await lookWhileStill(stopping)
  }

  const isOrphan = (pid: number, wrapper: readonly number[]): boolean => {
    const status = statusOf(pid)
    const [parent] = numbersIn(status, 'PPid')
    if (parent === undefined || /^State:\s+[ZX]/m.test(status)) return false
    if (kin.kind !== 'uid') return parent === reaper
    if (wrapper.includes(parent) || numbersIn(status, 'Uid')[0] !== kin.uid) return false
    const user = userOf(parent)
    return user !== undefined && user !== kin.uid
  }
  const lookForEscapes = async (members: Members): Promise<void> => {
    reaper = reaper !== undefined && isRunning(reaper) ? reaper : reaperOf(members.job)
    isBuilt ||= reaper !== undefined && wallsStand(readProcessFile(reaper, 'mountinfo'))
    if (!isBuilt) {
      newest = lastPid()
      return
    }
    const has = unread.some((pid) => !members.job.includes(pid))
    escapes = has ? escapes + 1 : Math.max(escapes - 1, 0)
    const orphans = new Set<number>()
    const before = newest
    for (let sample = 0; sample < samples; sample++) {
      newest = lastPid()
      const pids = Array.from({ length: newestMax }, (_, back) => newest - back).filter((pid) => pid > before)
      for (const pid of pids) if (isOrphan(pid, members.wrapper)) orphans.add(pid)
      await sleep(sampleMs)
    }
    unread = [...orphans].filter((pid) => !members.job.includes(pid))
  }

  return {
    async look(members) {
      const measured = memory.look(members.job)
      if (group?.freezes)
        looking ??= lookInGroup(group, members.job, measured)
          .catch(() => undefined)
          .finally(() => {
            looking = undefined
          })
      else if (!group?.limitsMemory && kin.kind !== 'none') await lookForEscapes(members)
    },
    tooMuch: () => (escapes >= escapesMax ? escaped : undefined),
    async settled() {
      await looking
    },
  }
}
