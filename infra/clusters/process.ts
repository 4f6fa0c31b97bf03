import type { ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { realpath } from 'node:fs/promises'
import { Failure } from '../../domain/errors.ts'
import { exists } from '../system/files.ts'
import type { Cluster, JobHandle, JobOutcome, JobSpec, LaunchOutcome } from './port.ts'
import { makeGroup } from './process/attempt-groups.ts'
import { type Attempts, createAttempts, graceMsOf } from './process/attempts.ts'
import { clusterIdOf } from './process/cluster-id.ts'
import { findGroup } from './process/control-groups.ts'
import { describeGroups } from './process/delegation.ts'
import { explainFault } from './process/fault.ts'
import * as folders from './process/folder.ts'
import { type ClusterLog, type Follower, follow } from './process/follow.ts'
import { describeIsolation, type Isolation, type IsolationKind, type JobTrust } from './process/isolation.ts'
import { jailWords } from './process/jail.ts'
import { diskBytesMax as usualDiskBytesMax, withinMachine } from './process/limits.ts'
import { type AddressToTake, endListeners, takeAddresses } from './process/listeners.ts'
import { type PreparedMachine, prepareMachine } from './process/prepare.ts'
import { type Launch, readProcess, readVerdict } from './process/reading.ts'
import { diskBytesAtStart, makeRoom } from './process/room.ts'
import { start, wrapperEndOf } from './process/start.ts'
import { createTableReader } from './process/table.ts'
import { claimUid, releaseUid } from './process/uids.ts'
import { createUpkeep } from './process/upkeep.ts'

export type { IsolationKind, JobTrust } from './process/isolation.ts'

/** How long a job may take to end after SIGTERM when nothing else is set. */
const graceMsDefault = 30_000

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
  /** Ports of the platform, which shares its network with the jobs: one that listens there is ended. */
  readonly ports?: readonly number[]
  /** Leaves out all ways to isolate but one, for tests. */
  readonly only?: IsolationKind
  /** Leaves control groups out, for tests. */
  readonly withoutGroups?: boolean
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
  isolation(): Promise<{
    readonly kind: Isolation['kind']
    readonly says: string
    readonly reasons: string
    /** Which control groups attempts have, what those do, and why they do not do more, as fields of the log. */
    readonly groups: Readonly<Record<string, string>>
  }>
}

type Opened = { readonly follower: Follower; readonly outcome: LaunchOutcome }
type Prepared = PreparedMachine & { readonly attempts: Attempts }

const stopped: JobOutcome = { ended: 'stopped' }
const silent: ClusterLog = { info() {}, warn() {} }

/** Makes a cluster that runs jobs as child processes of this machine (Linux), isolated as far as the machine allows
 *  (process/isolation.ts). They outlive this program, and are found again by their folder. */
export const processCluster = (options: ProcessClusterOptions): ProcessCluster => {
  const {
    name = 'process',
    trust = 'strangers',
    hidden = [],
    secretFiles = [],
    withoutGroups = false,
    ports = [],
    clock = Date.now,
    log = silent,
    graceMs: usualGraceMs = graceMsDefault,
    outputBytesMax = 16 * 1024 ** 2,
    diskBytesMax = usualDiskBytesMax,
  } = options
  const followers = new Map<string, { opened: Promise<Opened>; follower?: Follower }>()
  const table = createTableReader()
  let prepared: Promise<Prepared> | undefined
  let closed = false

  const prepare = async (): Promise<Prepared> => {
    const machine = await prepareMachine({
      root: options.root,
      trust,
      only: options.only,
      withoutGroups,
      hidden,
      secretFiles,
      log,
    })
    upkeep.wake()
    return { ...machine, attempts: createAttempts({ root: machine.root, table, log, graceMs: usualGraceMs }) }
  }
  const ready = () => {
    prepared ??= prepare().catch((error: unknown) => {
      prepared = undefined // a folder out of reach may come back
      throw error
    })
    return prepared
  }

  const key = ({ jobId, attempt }: JobHandle) => `${jobId}/${attempt}`
  const upkeep = createUpkeep({
    ready,
    ports,
    isWatched: (handle) => followers.has(key(handle)),
    followerOf: (handle) => followers.get(key(handle))?.follower,
    isIdle: () => followers.size === 0,
    clock,
    log,
  })

  const granted = (requested: JobSpec) => {
    const spec = withinMachine(requested)
    const { leaseSeconds } = spec
    return { spec, endsAtMs: leaseSeconds === undefined ? undefined : clock() + leaseSeconds * 1000 }
  }

  /** Makes the attempt's folder when it is missing, for a user of its own where that isolates it. Resolves to whether it
   *  is new. */
  const claim = async ({ root, isolation, attempts }: Prepared, requested: JobSpec): Promise<boolean> => {
    const folder = folders.attemptFolder(root, requested)
    if (await exists(folder)) return false
    await attempts.endStrays(folder)
    if (isolation.kind === 'refused')
      throw new Failure('JOB_ISOLATION_MISSING', { reasons: isolation.reasons.join('; ') })
    await diskBytesAtStart(root, diskBytesMax)
    const { spec, endsAtMs } = granted(requested)
    if (!('uids' in isolation))
      return folders.claimFolder(root, { spec, kind: isolation.kind, uid: undefined, endsAtMs })
    const uid = await claimUid(root, isolation.uids, new Set((await table(0)).map((entry) => entry.uid())))
    let claimed = false
    try {
      claimed = await folders.claimFolder(root, { spec, kind: isolation.kind, uid, endsAtMs })
    } finally {
      if (!claimed) await releaseUid(root, uid)
    }
    return claimed
  }

  const openAttempt = async (requested: JobSpec) => {
    const place = await ready()
    const { root, limits, attempts, covered, groups } = place
    const folder = folders.attemptFolder(root, requested)
    const isNew = await claim(place, requested)
    const found = isNew ? await attempts.read(folder) : await attempts.find(folder)
    // The spec in the folder counts: a second launch with another spec adopts the first one. Where it is damaged, what
    // runs is adopted with this one.
    const launch: Launch = found.launch ?? { ...granted(requested), ...found.traces }
    const { spec, kind, uid } = launch
    const graceMs = graceMsOf(spec, usualGraceMs)
    let outcome: LaunchOutcome = 'adopted'
    let child: ChildProcess | undefined
    let bytesMax = diskBytesMax
    let group = isNew ? undefined : await findGroup(folder)
    await group?.thaw() // a program that was killed may have left its processes stopped
    // A claim without a process was cut off before its start. Of several starts the wrapper lets one through.
    if (found.launch && !found.first && !found.hasBegun && !(await readVerdict(folder))) {
      bytesMax = await diskBytesAtStart(root, diskBytesMax)
      if (!isNew) await folders.writeProgram(folder, launch)
      const jail = { kind, folder, uid, memoryMib: spec.memoryMib, hidden: await covered() }
      group = await makeGroup(folder, { spec, prefix: groups.prefix, below: groups.below, log })
      const words = [...limits.outer(spec.cpuCores), ...jailWords(jail, existsSync), ...limits.inner(bytesMax)]
      const prefix = [...(group?.enter ?? []), ...words]
      const end = wrapperEndOf(launch, clock())
      const graceSeconds = graceMs / 1000
      child = await start(folder, { folder, kind, uid, ...end, graceSeconds, outputBytesMax, prefix })
      outcome = (await readProcess(folder))?.pid === child.pid ? 'launched' : 'adopted'
    } else if (!found.launch) log.warn({ folder }, 'spec.json of an attempt is damaged: it is not started any more')
    const first = child ? await readProcess(folder) : found.first
    const follower = follow({
      folder,
      launch,
      first,
      log,
      table,
      graceMs,
      outputBytesMax,
      diskBytesMax: bytesMax,
      group,
    })
    child?.once('exit', follower.wake)
    return { follower, outcome }
  }

  const open = async (spec: JobSpec) => {
    const opened = openAttempt(spec).catch(explainFault)
    const entry: { opened: Promise<Opened>; follower?: Follower } = { opened }
    followers.set(key(spec), entry)
    const forgetAttempt = () => followers.delete(key(spec))
    opened.then(({ follower }) => {
      entry.follower = follower
      upkeep.wake()
      return follower.done.then(forgetAttempt)
    }, forgetAttempt)
    return opened
  }

  return {
    name,

    async launch(spec, watcher) {
      if (closed) throw new Failure('INTERNAL', { cluster: 'is closed' })
      folders.attemptFolder(options.root, spec)
      folders.checkSpec(spec)
      const known = followers.get(key(spec))
      const { follower, outcome } = await (known?.opened ?? open(spec))
      follower.join(watcher)
      return known ? 'adopted' : outcome
    },

    async stop(handle) {
      const { root, attempts } = await ready()
      const folder = folders.attemptFolder(root, handle)
      const follower = (await followers.get(key(handle))?.opened.catch(() => undefined))?.follower
      if (!(await exists(folder))) return
      await attempts.end(folder, stopped, () => follower?.decide(stopped))
      follower?.wake()
      await follower?.done
    },

    async list() {
      const { attempts } = await ready()
      return (await attempts.list()).map(({ jobId, attempt, running }) => ({ jobId, attempt, running }))
    },

    async isolation() {
      const { isolation, groups } = await ready()
      const reasons = 'reasons' in isolation ? isolation.reasons.join('; ') : ''
      return { kind: isolation.kind, says: describeIsolation(isolation), reasons, groups: describeGroups(groups) }
    },

    async readLog(handle, offset, bytesMax) {
      const { root } = await ready()
      return folders.readOutputText(folders.attemptFolder(root, handle), Math.max(offset, 0), bytesMax)
    },

    async close({ stopJobs }) {
      closed = true
      await upkeep.close()
      const opened = await Promise.allSettled([...followers.values()].map((entry) => entry.opened))
      const watched = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value.follower] : []))
      for (const follower of watched) follower.forget()
      await Promise.all(watched.map((follower) => follower.done))
      if (!stopJobs) return
      const { attempts } = await ready()
      // Not `stopped`: no caller has stopped these jobs, and their next launch may try again.
      const running = (await attempts.list()).filter((attempt) => attempt.running)
      await Promise.all(running.map(({ folder }) => attempts.end(folder, { ended: 'lost' })))
    },
  }
}

/** Makes way for a start: room where the disk of a folder of attempts is nearly full, before anything else writes there,
 *  and these ports, where jobs that run since before listen. Then takes these addresses, which such a job may hold in
 *  another way. Never throws: what cannot be done is logged, and an address that stays taken is not. */
export const makeWayForStart = async (options: {
  readonly root: string
  readonly ports: readonly number[]
  readonly addresses?: readonly AddressToTake[]
  readonly log: ClusterLog
}): Promise<void> => {
  const { ports, addresses = [], log } = options
  const onUnwritten = () => undefined
  try {
    if (!(await exists(options.root))) return
    const root = await realpath(options.root)
    const attempts = createAttempts({ root, table: createTableReader(), log, graceMs: graceMsDefault })
    await makeRoom({ root, attempts, log, endsAny: true, onUnwritten })
    await endListeners({ ports, attempts, log, onUnwritten })
    await takeAddresses({ addresses, attempts, log, onUnwritten })
  } catch (error) {
    log.warn({ err: error }, 'no way could be made for a start: jobs may fill the disk, or hold ports')
  }
}

/** Resolves to a name that stays with the folder when the folder moves or the host is renamed: only with the folder can
 *  the processes be found again. */
export const clusterNameOf = async (root: string): Promise<string> => `process:${await clusterIdOf(root)}`
