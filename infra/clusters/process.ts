import { type ChildProcess, spawn } from 'node:child_process'
import { open, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../../domain/errors.ts'
import { sleep } from '../async/sleep.ts'
import { exists } from '../system/files.ts'
import type { Cluster, JobHandle, JobOutcome, JobSpec, LaunchOutcome } from './port.ts'
import { endProcesses } from './process/end.ts'
import * as folders from './process/folder.ts'
import { type ClusterLog, type Follower, follow } from './process/follow.ts'
import { type Limits, probeLimits } from './process/limits.ts'
import { type ProcessTable, processesOf, readProcessTable } from './process/table.ts'
import { wrapperCommand } from './process/wrapper.ts'

const startMsMax = 10_000
const startPollMs = 10

export type ProcessClusterOptions = {
  /** The folder of all attempts. Several programs may use it at once. */
  readonly root: string
  /** The name of this cluster in the event log; an attempt belongs to one cluster alone. See clusterNameOf. */
  readonly name?: string
  /** Milliseconds since 1970. */
  readonly clock?: () => number
  readonly log?: ClusterLog
  /** How long a job may take to end after SIGTERM. */
  readonly graceMs?: number
  /** How much a job may print, in bytes. */
  readonly outputBytesMax?: number
}

const silent: ClusterLog = { info() {}, warn() {} }

/** Makes a cluster that runs jobs as child processes of this machine (Linux). They outlive this program, and are found
 *  again by their folder. It enforces the limits of a job, but does not isolate jobs from each other: all run as one
 *  user. */
export const processCluster = (options: ProcessClusterOptions): Cluster => {
  const {
    name = 'process',
    clock = Date.now,
    log = silent,
    graceMs = 3000,
    outputBytesMax = 16 * 1024 * 1024,
  } = options
  const followers = new Map<string, Promise<{ follower: Follower; outcome: LaunchOutcome }>>()
  let prepared: Promise<{ root: string; limits: Limits }> | undefined
  let closed = false

  const prepare = async () => {
    await folders.prepareRoot(options.root).catch((error: unknown) => {
      throw new Failure('DATA_FOLDER_UNREACHABLE', { folder: options.root }, error)
    })
    // Processes carry the folder's path in their environment, so it must be the same whatever links lead here.
    const root = await realpath(options.root)
    return { root, limits: await probeLimits(root) }
  }
  let ownerLogged = false
  const logOwner = (root: string, { owner, ownerRefused }: Limits) => {
    if (ownerLogged) return
    ownerLogged = true
    if (owner) log.info({ root, ...owner }, 'jobs run as their own user')
    if (ownerRefused) log.warn({ root, reason: ownerRefused }, 'jobs run as root')
  }
  const ready = () => {
    prepared ??= prepare().catch((error: unknown) => {
      prepared = undefined // a folder out of reach may come back
      throw error
    })
    return prepared
  }

  let tableMs = Number.NEGATIVE_INFINITY
  let entries: ProcessTable = []
  const table = (maxAgeMs: number) => {
    const now = performance.now()
    if (now - tableMs >= maxAgeMs) {
      tableMs = now
      entries = readProcessTable()
    }
    return entries
  }

  const openAttempt = async (requested: JobSpec) => {
    const { root, limits } = await ready()
    logOwner(root, limits)
    const folder = folders.attemptFolder(root, requested)
    await folders.claimFolder(root, requested, limits.owner)
    // The spec in the folder counts: a second launch with another spec adopts the first one.
    const spec = await folders.readSpec(folder)
    let outcome: LaunchOutcome = 'adopted'
    let child: ChildProcess | undefined
    // A claim without a process was cut off before its start. Of several starts the wrapper lets one through.
    if (!(await folders.readProcess(folder)) && !(await folders.readVerdict(folder))) {
      child = await start(folder, spec, limits.prefix(spec.cpuCores, await folders.ownerOf(folder)))
      outcome = (await folders.readProcess(folder))?.pid === child.pid ? 'launched' : 'adopted'
    }
    const first = await folders.readProcess(folder)
    const follower = follow({ folder, spec, first, clock, log, table, graceMs, outputBytesMax })
    child?.once('exit', follower.wake)
    return { follower, outcome }
  }

  const key = ({ jobId, attempt }: JobHandle) => `${jobId}/${attempt}`

  const launch = async (spec: JobSpec) => {
    const attempt = openAttempt(spec)
    followers.set(key(spec), attempt)
    const forgetAttempt = () => followers.delete(key(spec))
    attempt.then(({ follower }) => follower.done.then(forgetAttempt), forgetAttempt)
    return attempt
  }

  /** Ends an attempt, watched or not. */
  const endAttempt = async (folder: string, verdict: JobOutcome) => {
    await folders.passVerdict(folder, verdict).catch((error: unknown) => {
      log.warn({ folder, err: error }, 'cannot write down why a job is ended')
    })
    // After the verdict: a wrapper that claims from now on reads it, and the process of an earlier claim is read here.
    const first = await folders.readProcess(folder)
    await endProcesses(() => processesOf(table(0), folder, first), graceMs)
  }

  const list = async () => {
    const { root } = await ready()
    const handles = await folders.listFolders(root)
    const now = table(0)
    return Promise.all(
      handles.map(async (handle) => {
        const folder = folders.attemptFolder(root, handle)
        const running = processesOf(now, folder, await folders.readProcess(folder)).length > 0
        return { ...handle, running }
      }),
    )
  }

  return {
    name,

    async launch(spec, watcher) {
      if (closed) throw new Failure('INTERNAL', { cluster: 'is closed' })
      folders.attemptFolder(options.root, spec)
      folders.checkSpec(spec)
      const known = followers.get(key(spec))
      const { follower, outcome } = await (known ?? launch(spec))
      follower.join(watcher)
      return known ? 'adopted' : outcome
    },

    async stop(handle) {
      const { root } = await ready()
      const folder = folders.attemptFolder(root, handle)
      const attempt = await followers.get(key(handle))?.catch(() => undefined)
      if (!(await exists(folder))) return
      await endAttempt(folder, { ended: 'stopped' })
      attempt?.follower.wake()
      await attempt?.follower.done
    },

    list,

    async readLog(handle, offset, bytesMax) {
      const { root } = await ready()
      return folders.readOutputText(folders.attemptFolder(root, handle), Math.max(offset, 0), bytesMax)
    },

    async close({ stopJobs }) {
      closed = true
      const attempts = await Promise.allSettled(followers.values())
      const watched = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value.follower] : []))
      for (const follower of watched) follower.forget()
      await Promise.all(watched.map((follower) => follower.done))
      if (!stopJobs) return
      const { root } = await ready()
      // Not `stopped`: no caller has stopped these jobs, and their next launch may try again.
      const running = (await list()).filter((attempt) => attempt.running)
      await Promise.all(running.map((handle) => endAttempt(folders.attemptFolder(root, handle), { ended: 'lost' })))
    },
  }
}

/** Resolves to a name that stays with the folder when the folder moves or the host is renamed: only with the folder can
 *  the processes be found again. */
export const clusterNameOf = async (root: string): Promise<string> => `process:${await folders.clusterIdOf(root)}`

/** Spawns the wrapper and waits until it, or an earlier one, has written process.json. Throws JOB_INVALID when the
 *  command is too long for this system, INTERNAL when nothing can be started; may be repeated. */
const start = async (folder: string, spec: JobSpec, prefix: readonly string[]): Promise<ChildProcess> => {
  const { file, args, env } = wrapperCommand(folder, spec, prefix)
  const output = await open(join(folder, 'output.log'), 'a')
  try {
    const child = spawn(file, args, {
      cwd: join(folder, 'work'),
      env,
      detached: true, // its own session, so that the job outlives the terminal of this program
      stdio: ['ignore', output.fd, output.fd],
    })
    const failed = new Promise<never>((_, reject) => child.once('error', reject))
    child.unref()
    await Promise.race([failed, started(child, folder)])
    return child
  } catch (error) {
    if (error instanceof Failure) throw error
    const reason = String(error)
    throw new Failure(reason.includes('E2BIG') ? 'JOB_INVALID' : 'INTERNAL', { command: reason }, error)
  } finally {
    await output.close()
  }
}

const started = async (child: ChildProcess, folder: string): Promise<void> => {
  for (const giveUpAt = performance.now() + startMsMax; performance.now() < giveUpAt; await sleep(startPollMs)) {
    const over = child.exitCode !== null || child.signalCode !== null
    if ((await folders.readProcess(folder)) || (await folders.readVerdict(folder))) return
    if (over) throw new Failure('INTERNAL', { cluster: `the first process of ${folder} ended before it began` })
  }
  throw new Failure('INTERNAL', { cluster: `the first process of ${folder} did not begin within ${startMsMax} ms` })
}
