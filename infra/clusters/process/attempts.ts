/** Finds the attempts of a folder and ends them, also where their files are damaged: a full disk, a power cut or an
 *  operator may leave each file empty, cut or absent, and a process that runs must be found in any case. */
import { lstat } from 'node:fs/promises'
import { uptime } from 'node:os'
import { dirname, join } from 'node:path'
import { type BoundedMap, createBoundedMap, registerBound } from '../../async/bounded.ts'
import { createSemaphore } from '../../async/semaphore.ts'
import { sleep } from '../../async/sleep.ts'
import { exists, unlessMissing } from '../../system/files.ts'
import { currentBootId, isAlive, isShown } from '../../system/processes.ts'
import type { JobHandle, JobOutcome, JobSpec } from '../port.ts'
import { findGroup, withGroup } from './control-groups.ts'
import { endAttempt, killProcesses, wholeOf } from './end.ts'
import { attemptFolder, listFolders, passVerdict } from './folder.ts'
import type { ClusterLog } from './follow.ts'
import { removeIpc } from './ipc.ts'
import { createKernelReader } from './kernel-files.ts'
import { type FirstProcess, type Launch, readLaunch, readProcess } from './reading.ts'
import { folderIn, membersOf, type ProcessTable } from './table.ts'
import { isClaimed } from './uids.ts'

/** How many attempts are read at once: the folders of a month may be many. */
const readsAtOnceMax = 8
/** How long a first process may take to write its file before it is adopted without one. */
const claimMsMax = 2_000
const lookAgainMs = 25
/** A first process has its folder in the beginning of its environment and of its command line. */
const beginningBytes = 65_536
/** Ticks of a process's start time in a second, as Linux shows them on every machine. */
const ticksPerSecond = 100
/** The files that the first process makes, in any state, show that it has begun. */
const tracesOfStart = ['process.json', 'output', 'missing', 'exit']

export const leftover = 'segments, queues or semaphores of ended jobs are left'

/** What an attempt's processes are found by. */
export type Traces = Pick<Launch, 'kind' | 'uid'>

export type FoundAttempt = {
  /** Undefined where spec.json is damaged. */
  readonly launch: Launch | undefined
  readonly traces: Traces
  readonly first: FirstProcess | undefined
  /** Whether a first process has begun: it must never be started again. */
  readonly hasBegun: boolean
}

export type ListedAttempt = JobHandle & {
  readonly folder: string
  readonly running: boolean
  readonly hasBegun: boolean
  /** The processes of the job that run. */
  readonly job: readonly number[]
  /** When the first process started, in milliseconds since 1970, as far as that is known. */
  readonly startedMs: number | undefined
}

export type AttemptsOptions = {
  readonly root: string
  readonly table: (maxAgeMs: number) => Promise<ProcessTable>
  readonly log: ClusterLog
  /** How long a job may take to end when its spec does not say, or cannot be read. */
  readonly graceMs: number
}

export type Attempts = {
  /** Resolves to what is known of an attempt by its files alone. */
  read(folder: string): Promise<FoundAttempt>
  /** Resolves to what is known of an attempt by its files and by the processes that run. */
  find(folder: string): Promise<FoundAttempt>
  /** Resolves to all attempts that have a folder. */
  list(): Promise<ListedAttempt[]>
  /** Resolves to the user of an attempt, where it has one of its own, and to all its processes that run. */
  members(folder: string): Promise<{ readonly uid: number | undefined; readonly pids: readonly number[] }>
  /** Ends what runs of an attempt whose folder was removed. */
  endStrays(folder: string): Promise<void>
  /** Ends an attempt, watched or not. Calls `onUnwritten` before the first signal where the verdict could not be written. */
  end(folder: string, verdict: JobOutcome, onUnwritten?: () => void): Promise<void>
}

/** Returns the grace of a job in milliseconds. */
export const graceMsOf = (spec: JobSpec | undefined, usualMs: number): number =>
  spec?.graceSeconds === undefined ? usualMs : spec.graceSeconds * 1000

/** Resolves to the user of an attempt whose spec is damaged: the owner of its folders, if that id was given to an
 *  attempt. */
const ownerOf = async (folder: string): Promise<number | undefined> => {
  for (const name of ['work', 'tmp']) {
    const uid = (await lstat(join(folder, name)).catch(unlessMissing))?.uid
    if (uid !== undefined && (await isClaimed(dirname(dirname(folder)), uid))) return uid
  }
  return undefined
}

const hasBegun = async (folder: string): Promise<boolean> => {
  for (const name of tracesOfStart) if (await lstat(join(folder, name)).catch(unlessMissing)) return true
  return false
}

type Leaders = ReadonlyMap<string, Leader>
/** `owner` is the user of the attempt, where it has one of its own; `hasUid` whether that is all that isolates it. */
type Leader = {
  readonly folder: string
  readonly owner: number | undefined
  readonly hasUid: boolean
  readonly first: FirstProcess
}

const leadersBound = registerBound({
  name: 'first processes',
  holds: 'which processes with a session of their own are the first ones of attempts, while they run the same program',
  whenFull: 'evicts the least recently used',
  entriesMax: 20_000,
})

/** Resolves to the attempt whose first process this is, and null where it is none; undefined where that cannot be read. It
 *  is known by what it runs: the folder stands in its environment and on its command line. A job decides how long both are,
 *  so their beginnings count, where a first process has it. */
const readLeader = async ({ pid, startTime }: ProcessTable[number]): Promise<Leader | null | undefined> => {
  const kernel = createKernelReader()
  const environment = await kernel.head(`/proc/${pid}/environ`, beginningBytes)
  if ('unread' in environment) return undefined
  const folder = folderIn(environment.value)
  if (folder === undefined) return null
  const line = await kernel.head(`/proc/${pid}/cmdline`, beginningBytes)
  if ('unread' in line) return undefined
  const beginning = `\0sh\0${folder}\0`
  const [, words] = Buffer.from(line.value, 'latin1').toString().split(beginning)
  if (words === undefined) return null
  const [owner = '', , , , , kind] = words.split('\0')
  const startedMs = Date.now() - (uptime() - startTime / ticksPerSecond) * 1000
  return {
    folder,
    owner: /^\d+$/.test(owner) ? Number(owner) : undefined,
    hasUid: kind === 'uid',
    first: { pid, startTime, bootId: currentBootId(), startedMs },
  }
}

/** Resolves to the first processes of all attempts, by folder: this program's user, with a session of their own. What was
 *  read of one before is not read again, unless it has begun another program since. */
const readLeaders = async (table: ProcessTable, known: BoundedMap<Leader | null>): Promise<Leaders> => {
  const leaders = new Map<string, Leader>()
  for (const entry of table) {
    if (entry.over || entry.session !== entry.pid || entry.uid() !== process.getuid?.()) continue
    const key = `${entry.pid} ${entry.startTime} ${entry.image}`
    const before = known.get(key)
    const leader = before === undefined ? await readLeader(entry) : before
    if (leader !== undefined && isShown(entry)) known.set(key, leader)
    if (leader) leaders.set(leader.folder, leader)
  }
  return leaders
}

/** Resolves to the first process of an attempt: the one that its file names, unless that is another attempt's; where that
 *  one does not run, one that does. Undefined when none is known. */
const findFirst = async (
  folder: string,
  named: FirstProcess | undefined,
  table: ProcessTable,
  leaders: (table: ProcessTable) => Promise<Leaders>,
): Promise<FirstProcess | undefined> => {
  const isRunning = named !== undefined && isAlive(named)
  if (isRunning) {
    const itsFolder = await table.find((entry) => entry.pid === named.pid)?.folder()
    // The folder of all attempts may have been moved meanwhile.
    if (itsFolder === undefined || itsFolder === folder || !(await exists(itsFolder))) return named
  }
  return (await leaders(table)).get(folder)?.first ?? (isRunning ? undefined : named)
}

/** Makes the finder of the attempts of one folder. */
export const createAttempts = ({ root, table, log, graceMs }: AttemptsOptions): Attempts => {
  let latest: { readonly table: ProcessTable; readonly leaders: Promise<Leaders> } | undefined
  const known = createBoundedMap<Leader | null>(leadersBound)
  const leadersOf = (now: ProcessTable) => {
    if (latest?.table !== now) latest = { table: now, leaders: readLeaders(now, known) }
    return latest.leaders
  }
  const readFiles = async (folder: string) => {
    const begun = await hasBegun(folder)
    const [launch, first] = [await readLaunch(folder), await readProcess(folder)]
    // Without the spec, processes are found by the folder in their environment too, as where nothing isolates them.
    const traces: Traces = launch ?? { kind: 'none', uid: await ownerOf(folder) }
    return { launch, traces, first, hasBegun: begun }
  }
  const membersAt = async (folder: string, { traces, first }: FoundAttempt, now: ProcessTable) =>
    withGroup(await membersOf(now, { folder, ...traces, first }), await findGroup(folder))

  const find: Attempts['find'] = async (folder) => {
    for (const giveUpAt = performance.now() + claimMsMax; ; await sleep(lookAgainMs)) {
      const read = await readFiles(folder)
      const first = await findFirst(folder, read.first, await table(0), leadersOf)
      // One that has not written its file yet is about to: of several, that file names the one that runs the command.
      if (!first || read.hasBegun || performance.now() >= giveUpAt) return { ...read, first }
    }
  }

  const list = async (): Promise<ListedAttempt[]> => {
    const limited = createSemaphore(readsAtOnceMax)
    const read = async (handle: JobHandle) => {
      const folder = attemptFolder(root, handle)
      return { handle, folder, files: await readFiles(folder) }
    }
    const found = await Promise.all((await listFolders(root)).map((handle) => limited(() => read(handle))))
    // After the files: what begins from now on has not begun in them.
    const now = await table(0)
    const look = async ({ handle, folder, files }: (typeof found)[number]): Promise<ListedAttempt> => {
      const first = await findFirst(folder, files.first, now, leadersOf)
      const { wrapper, job } = await membersAt(folder, { ...files, first }, now)
      const running = wrapper.length + job.length > 0
      return { ...handle, folder, running, hasBegun: files.hasBegun, job, startedMs: first?.startedMs }
    }
    return Promise.all(found.map((one) => limited(() => look(one))))
  }

  const members: Attempts['members'] = async (folder) => {
    const found = await find(folder)
    const { wrapper, job } = await membersAt(folder, found, await table(0))
    return { uid: found.traces.uid, pids: [...wrapper, ...job] }
  }

  const end: Attempts['end'] = async (folder, verdict, onUnwritten) => {
    const verdictWritten = await passVerdict(folder, verdict).then(
      () => true,
      (error: unknown) => {
        log.warn({ folder, err: error }, 'cannot write down why a job is ended')
        onUnwritten?.()
        return false
      },
    )
    // After the verdict: a wrapper that claims from now on reads it, and the process of an earlier claim is read here.
    const found = await find(folder)
    const { launch, traces, first } = found
    const membersNow = async () => membersAt(folder, found, await table(0))
    const isOverLimit = verdict.ended === 'failed' && verdict.code !== 'JOB_TIMED_OUT'
    const patienceMs = isOverLimit ? 0 : graceMsOf(launch?.spec, graceMs)
    const whole = wholeOf(traces, await findGroup(folder))
    await endAttempt({ folder, first, members: membersNow, graceMs: patienceMs, verdictWritten, whole })
    await removeIpc(traces).catch((error: unknown) => log.warn({ folder, err: error }, leftover))
  }

  const endStrays = async (folder: string): Promise<void> => {
    const leader = (await leadersOf(await table(0))).get(folder)
    if (!leader) return
    log.warn({ folder }, 'the folder of an attempt that runs was removed: it is ended')
    const { owner, hasUid, first } = leader
    const uid = owner !== undefined && (await isClaimed(root, owner)) ? owner : undefined
    await killProcesses(
      async () => {
        const { wrapper, job } = await membersOf(await table(0), { folder, kind: 'none', uid, first })
        return [...wrapper, ...job]
      },
      { uid: hasUid ? uid : undefined },
    )
  }

  return { read: readFiles, find, list, members, endStrays, end }
}
