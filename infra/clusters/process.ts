import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { Failure } from '../../domain/errors.ts'
import { createSemaphore } from '../async/semaphore.ts'
import { exists } from '../system/files.ts'
import type { ProcessIdentity } from '../system/processes.ts'
import type { Cluster, JobHandle, JobOutcome, JobSpec, LaunchOutcome } from './port.ts'
import { endAttempt } from './process/end.ts'
import { explainFault } from './process/fault.ts'
import * as folders from './process/folder.ts'
import { type ClusterLog, type Follower, follow } from './process/follow.ts'
import { removeIpc } from './process/ipc.ts'
import { describeIsolation, type Isolation, type IsolationKind, type JobTrust } from './process/isolation.ts'
import { jailWords } from './process/jail.ts'
import { diskBytesMax as usualDiskBytesMax, withinMachine } from './process/limits.ts'
import { leftover, type Prepared, prepareMachine } from './process/prepare.ts'
import { type Launch, readLaunch, readProcess, readVerdict } from './process/reading.ts'
import { removeOld } from './process/retention.ts'
import { start, wrapperEndOf } from './process/start.ts'
import { membersOf, type ProcessTable, readProcessTable } from './process/table.ts'
import { claimUid, releaseUid } from './process/uids.ts'

export type { IsolationKind, JobTrust } from './process/isolation.ts'

/** How often old folders are looked for, at most. */
const sweepMs = 600_000
/** How many attempts are read at once: the folders of a month may be many. */
const readsAtOnceMax = 8

export type ProcessClusterOptions = {
  /** The folder of all attempts. Several programs may use it at once. */
  readonly root: string
  /** The name of this cluster in the event log; an attempt belongs to one cluster alone. See clusterNameOf. */
  readonly name?: string
  /** Whose jobs run here. For `own`, jobs run also where nothing isolates them. Undefined: strangers'. */
  readonly trust?: JobTrust
  /** Folders that no job sees, such as that of the keys; the folder of all attempts is always among them. Where jobs see
   *  the file tree of the machine, the secret files in them are closed to other users. */
  readonly hidden?: readonly string[]
  /** More files that no job may read, wherever they lie and whatever links lead there. */
  readonly secretFiles?: readonly string[]
  /** Leaves out all ways to isolate but one, for tests. */
  readonly only?: IsolationKind
  /** Milliseconds since 1970. */
  readonly clock?: () => number
  readonly log?: ClusterLog
  /** How long a job may take to end after SIGTERM when its spec does not say. */
  readonly graceMs?: number
  /** How much a job may print, in bytes. */
  readonly outputBytesMax?: number
  /** How much a job may leave on the disk, in bytes. */
  readonly diskBytesMax?: number
}

export type ProcessCluster = Cluster & {
  /** Resolves to how this machine isolates jobs, as a sentence, with the reasons where it cannot. */
  isolation(): Promise<{ readonly kind: Isolation['kind']; readonly says: string; readonly reasons: string }>
}

const silent: ClusterLog = { info() {}, warn() {} }

/** Makes a cluster that runs jobs as child processes of this machine (Linux), isolated as far as the machine allows
 *  (process/isolation.ts). They outlive this program, and are found again by their folder. */
export const processCluster = (options: ProcessClusterOptions): ProcessCluster => {
  const {
    name = 'process',
    trust = 'strangers',
    hidden = [],
    secretFiles = [],
    clock = Date.now,
    log = silent,
    graceMs: usualGraceMs = 30_000,
    outputBytesMax = 16 * 1024 ** 2,
    diskBytesMax = usualDiskBytesMax,
  } = options
  const followers = new Map<string, Promise<{ follower: Follower; outcome: LaunchOutcome }>>()
  let prepared: Promise<Prepared> | undefined
  let closed = false
  const closing = new AbortController()

  const ready = () => {
    prepared ??= prepareMachine({ root: options.root, trust, only: options.only, hidden, secretFiles, log }).catch(
      (error: unknown) => {
        prepared = undefined // a folder out of reach may come back
        throw error
      },
    )
    return prepared
  }

  let tableMs = Number.NEGATIVE_INFINITY
  let entries: Promise<ProcessTable> = Promise.resolve([])
  const table = (maxAgeMs: number): Promise<ProcessTable> => {
    const now = performance.now()
    if (now - tableMs >= maxAgeMs) {
      tableMs = now
      entries = readProcessTable()
    }
    return entries
  }
  const graceMsOf = ({ graceSeconds }: JobSpec) => (graceSeconds === undefined ? usualGraceMs : graceSeconds * 1000)

  /** Makes the attempt's folder when it is missing, for a user of its own where that isolates it. */
  const claim = async (root: string, isolation: Isolation, requested: JobSpec): Promise<void> => {
    if (await exists(folders.attemptFolder(root, requested))) return
    if (isolation.kind === 'refused')
      throw new Failure('JOB_ISOLATION_MISSING', { reasons: isolation.reasons.join('; ') })
    const spec = withinMachine(requested)
    const { leaseSeconds } = spec
    const endsAtMs = leaseSeconds === undefined ? undefined : clock() + leaseSeconds * 1000
    if (!('uids' in isolation)) {
      await folders.claimFolder(root, { spec, kind: isolation.kind, uid: undefined, endsAtMs })
      return
    }
    const uid = await claimUid(root, isolation.uids, new Set((await table(0)).map((entry) => entry.uid())))
    let claimed = false
    try {
      claimed = await folders.claimFolder(root, { spec, kind: isolation.kind, uid, endsAtMs })
    } finally {
      if (!claimed) await releaseUid(root, uid)
    }
  }

  const openAttempt = async (requested: JobSpec) => {
    const { root, limits, isolation, covered } = await ready()
    const folder = folders.attemptFolder(root, requested)
    await claim(root, isolation, requested)
    // The spec in the folder counts: a second launch with another spec adopts the first one.
    const launch = await readLaunch(folder)
    const { spec, kind, uid } = launch
    const graceMs = graceMsOf(spec)
    let outcome: LaunchOutcome = 'adopted'
    let child: ChildProcess | undefined
    // A claim without a process was cut off before its start. Of several starts the wrapper lets one through.
    if (!(await readProcess(folder)) && !(await readVerdict(folder))) {
      const jail = { kind, folder, uid, memoryMib: spec.memoryMib, hidden: await covered() }
      const prefix = [...limits.outer(spec.cpuCores), ...jailWords(jail, existsSync), ...limits.inner(diskBytesMax)]
      const end = wrapperEndOf(launch, clock())
      const graceSeconds = graceMs / 1000
      child = await start(folder, { folder, kind, uid, ...end, graceSeconds, outputBytesMax, prefix })
      outcome = (await readProcess(folder))?.pid === child.pid ? 'launched' : 'adopted'
    }
    const first = await readProcess(folder)
    const follower = follow({ folder, launch, first, clock, log, table, graceMs, outputBytesMax, diskBytesMax })
    child?.once('exit', follower.wake)
    return { follower, outcome }
  }

  const key = ({ jobId, attempt }: JobHandle) => `${jobId}/${attempt}`

  const open = async (spec: JobSpec) => {
    const attempt = openAttempt(spec).catch(explainFault)
    followers.set(key(spec), attempt)
    const forgetAttempt = () => followers.delete(key(spec))
    attempt.then(({ follower }) => follower.done.then(forgetAttempt), forgetAttempt)
    return attempt
  }

  const membersAt = (folder: string, launch: Launch, first: ProcessIdentity | undefined, now: ProcessTable) =>
    membersOf(now, { folder, kind: launch.kind, uid: launch.uid, first })

  /** Ends an attempt, watched or not. */
  const end = async (folder: string, verdict: JobOutcome) => {
    const launch = await readLaunch(folder)
    const verdictWritten = await folders.passVerdict(folder, verdict).then(
      () => true,
      (error: unknown) => {
        log.warn({ folder, err: error }, 'cannot write down why a job is ended')
        return false
      },
    )
    // After the verdict: a wrapper that claims from now on reads it, and the process of an earlier claim is read here.
    const first = await readProcess(folder)
    const members = async () => membersAt(folder, launch, first, await table(0))
    await endAttempt({ first, members, graceMs: graceMsOf(launch.spec), verdictWritten })
    await removeIpc(launch).catch((error: unknown) => log.warn({ folder, err: error }, leftover))
  }

  const list = async () => {
    const { root } = await ready()
    const handles = await folders.listFolders(root)
    const now = await table(0)
    const limited = createSemaphore(readsAtOnceMax)
    const read = async (handle: JobHandle) => {
      const folder = folders.attemptFolder(root, handle)
      // A folder whose spec is lost has no process that could be found.
      const launch = await readLaunch(folder).catch(() => undefined)
      const members = launch && (await membersAt(folder, launch, await readProcess(folder), now))
      return { ...handle, running: members !== undefined && members.wrapper.length + members.job.length > 0 }
    }
    return Promise.all(handles.map((handle) => limited(() => read(handle))))
  }

  let sweptMs = Number.NEGATIVE_INFINITY
  let sweeping: Promise<void> | undefined
  /** Removes in the background what old attempts have left, now and then. */
  const sweep = () => {
    if (closed || sweeping || performance.now() - sweptMs < sweepMs) return
    sweptMs = performance.now()
    const work = async () => {
      const { root } = await ready()
      const ended = (await list()).filter(
        ({ running, jobId, attempt }) => !running && !followers.has(key({ jobId, attempt })),
      )
      await removeOld(root, ended, clock(), closing.signal)
    }
    sweeping = work()
      .catch((error: unknown) => log.warn({ err: error }, 'old folders of jobs could not be removed'))
      .finally(() => {
        sweeping = undefined
      })
  }

  return {
    name,

    async launch(spec, watcher) {
      if (closed) throw new Failure('INTERNAL', { cluster: 'is closed' })
      folders.attemptFolder(options.root, spec)
      folders.checkSpec(spec)
      const known = followers.get(key(spec))
      const { follower, outcome } = await (known ?? open(spec))
      follower.join(watcher)
      sweep()
      return known ? 'adopted' : outcome
    },

    async stop(handle) {
      const { root } = await ready()
      const folder = folders.attemptFolder(root, handle)
      const attempt = await followers.get(key(handle))?.catch(() => undefined)
      if (!(await exists(folder))) return
      await end(folder, { ended: 'stopped' })
      attempt?.follower.wake()
      await attempt?.follower.done
    },

    list,

    async isolation() {
      const { isolation } = await ready()
      const reasons = 'reasons' in isolation ? isolation.reasons.join('; ') : ''
      return { kind: isolation.kind, says: describeIsolation(isolation), reasons }
    },

    async readLog(handle, offset, bytesMax) {
      const { root } = await ready()
      return folders.readOutputText(folders.attemptFolder(root, handle), Math.max(offset, 0), bytesMax)
    },

    async close({ stopJobs }) {
      closed = true
      closing.abort()
      await sweeping
      const attempts = await Promise.allSettled(followers.values())
      const watched = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value.follower] : []))
      for (const follower of watched) follower.forget()
      await Promise.all(watched.map((follower) => follower.done))
      if (!stopJobs) return
      const { root } = await ready()
      // Not `stopped`: no caller has stopped these jobs, and their next launch may try again.
      const running = (await list()).filter((attempt) => attempt.running)
      await Promise.all(running.map((handle) => end(folders.attemptFolder(root, handle), { ended: 'lost' })))
    },
  }
}

/** Resolves to a name that stays with the folder when the folder moves or the host is renamed: only with the folder can
 *  the processes be found again. */
export const clusterNameOf = async (root: string): Promise<string> => `process:${await folders.clusterIdOf(root)}`
