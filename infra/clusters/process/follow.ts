import { join } from 'node:path'
import { createSignal } from '../../async/signal.ts'
import { sleep } from '../../async/sleep.ts'
import { ageMs, isAlive } from '../../system/processes.ts'
import type { JobOutcome, JobProgress, JobWatcher } from '../port.ts'
import { settleGroup } from './attempt-groups.ts'
import { type Group, withGroup } from './control-groups.ts'
import { type DiskUse, measureDisk, readRoom } from './disk.ts'
import { endAttempt, killProcesses, restOf, wholeOf } from './end.ts'
import { cutOutput, hasEnded, isCommandOver, outputBytes, passVerdict, readOutput } from './folder.ts'
import { removeIpc } from './ipc.ts'
import { createMemoryWatch } from './memory.ts'
import { progressLines } from './progress-lines.ts'
import { type FirstProcess, type Launch, readFailedStep, readOutcome, readVerdict } from './reading.ts'
import { createSteadyLook } from './steady.ts'
import { type Members, membersOf, type ProcessTable } from './table.ts'

const pollMs = 100
const pollAfterErrorMs = 1000
const memoryPollMs = 250
const progressMs = 250
/** So few that the lines in them are parsed within a moment. */
const readBytes = 16_384
/** Measuring the disk lists all files of the job: the next time comes no sooner than so many times that long, but at
 *  most `diskRestMsMax` later, within which a job could fill the disk unseen. */
const diskPollMs = 5_000
const diskRestFactor = 20
const diskRestMsMax = 60_000
const wrapperEndMsMax = 5_000
/** How long the first process may take to end what a command has left that was over in time. */
const sweepMsMax = 60_000
const waitForWrapperMs = 10

export type ClusterLog = {
  info(details: object, message: string): void
  warn(details: object, message: string): void
}

export type FollowOptions = {
  readonly folder: string
  readonly launch: Launch
  /** Undefined when the attempt was ended before it started. */
  readonly first: FirstProcess | undefined
  readonly log: ClusterLog
  /** Returns all processes of this machine, read at most `maxAgeMs` ago. */
  readonly table: (maxAgeMs: number) => Promise<ProcessTable>
  readonly graceMs: number
  readonly outputBytesMax: number
  readonly diskBytesMax: number
  /** The control group of the attempt, where it has one. */
  readonly group?: Group | undefined
}

export type Follower = {
  /** Calls this watcher from now on, at first with the last progress. */
  join(watcher: JobWatcher): void
  /** Looks at the attempt now, and not after the poll interval. */
  wake(): void
  /** Takes a verdict that could not be written down: it counts, whatever exit code the command leaves. */
  decide(verdict: JobOutcome): void
  /** Calls no watcher any more, and leaves the job as it is. */
  forget(): void
  /** Resolves when the end was reported, or after `forget`. */
  readonly done: Promise<void>
}

/** Watches an attempt that was started, by this program or an earlier one, until none of its processes runs: reads its
 *  progress, enforces its limits, and reports its end to the watchers. It reads only the attempt's folder and /proc. */
export const follow = (options: FollowOptions): Follower => {
  const { folder, launch, first, log, table, graceMs, outputBytesMax, diskBytesMax, group } = options
  const { spec, kind, uid, endsAtMs } = launch
  const members = async (maxAgeMs = 0): Promise<Members> =>
    withGroup(await membersOf(await table(maxAgeMs), { folder, kind, uid, first }), group)
  const whole = wholeOf(launch, group)
  const details = { jobId: spec.jobId, attempt: spec.attempt }
  const watchers = new Set<JobWatcher>()
  const lines = progressLines()
  let [size, offset, reportedMs, memoryMs] = [0, 0, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]
  let latest: JobProgress | undefined
  let unreported = false
  let disk: DiskUse | undefined
  let measureAtMs = performance.now() + diskPollMs
  let measuring: Promise<void> | undefined
  const over = new AbortController()
  let forgotten = false
  let decided: JobOutcome | undefined
  let unwritten = false
  let outcome: JobOutcome | undefined
  const woken = createSignal()
  const watched = { uid, folder: join(folder, 'work'), signal: over.signal }
  const memory = createMemoryWatch(spec.memoryMib, watched, woken.notify, group)
  const steady = createSteadyLook({ kin: { kind, uid }, group, memory })

  const call = (watcher: JobWatcher, report: (watcher: JobWatcher) => void) => {
    try {
      report(watcher)
    } catch (error) {
      log.warn({ ...details, err: error }, 'a watcher of a job threw')
    }
  }
  const callAll = (report: (watcher: JobWatcher) => void) => {
    if (!forgotten) for (const watcher of watchers) call(watcher, report)
  }
  const note = (found: readonly JobProgress[]) => {
    latest = found.at(-1) ?? latest
    unreported ||= found.length > 0
  }
  const report = () => {
    const progress = latest
    if (unreported && progress) callAll((watcher) => watcher.progressed(progress))
    unreported = false
    reportedMs = performance.now()
  }

  const readOn = async () => {
    size = await outputBytes(folder)
    if (size < offset) offset = 0 // the job emptied its own log
    while (offset < Math.min(size, outputBytesMax)) {
      const bytes = await readOutput(folder, offset, readBytes)
      if (bytes.length === 0) break // emptied just now
      offset += bytes.length
      note(lines.push(bytes))
    }
    if (unreported && performance.now() - reportedMs >= progressMs) report()
  }

  const outputExceeded = (): JobOutcome => ({
    ...{ ended: 'failed', code: 'JOB_OUTPUT_EXCEEDED' },
    message: `It printed more than ${outputBytesMax} bytes.`,
  })

  const brokenLimit = async (): Promise<JobOutcome | undefined> => {
    const failed = (code: 'JOB_TIMED_OUT' | 'JOB_MEMORY_EXCEEDED' | 'JOB_DISK_EXCEEDED', message: string) =>
      ({ ended: 'failed', code, message }) as const
    const ranMs = first ? ageMs(first) : 0
    const timeoutMs = spec.timeoutSeconds * 1000
    // The wall clock may be set while the job runs; when both times were written, it was one clock.
    const leaseMs = first && endsAtMs !== undefined ? endsAtMs - first.startedMs : Number.POSITIVE_INFINITY
    const lateMs = ranMs - Math.min(timeoutMs, leaseMs)
    if (lateMs >= 0 && (lateMs > sweepMsMax || !(await isCommandOver(folder))))
      return ranMs >= timeoutMs
        ? failed('JOB_TIMED_OUT', `It ran longer than ${spec.timeoutSeconds} s.`)
        : { ended: 'expired' }
    if (size > outputBytesMax) return outputExceeded()
    if (disk && disk.bytes > diskBytesMax)
      return failed('JOB_DISK_EXCEEDED', `It takes ${disk.bytes} bytes of disk, ${diskBytesMax} are allowed.`)
    if (disk?.trouble) return failed('JOB_DISK_EXCEEDED', `Its files cannot be measured: ${disk.trouble}.`)
    if (memory.tooMuch() === undefined) {
      const now = performance.now()
      if (now - memoryMs < memoryPollMs) return undefined
      memoryMs = now
      await steady.look(await members(pollMs))
    }
    const tooMuch = memory.tooMuch() ?? steady.tooMuch()
    return tooMuch === undefined ? undefined : failed('JOB_MEMORY_EXCEEDED', tooMuch)
  }

  /** Measures the disk in the background, when that is due: many files take longer than the other limits may wait. */
  const measure = () => {
    const begun = performance.now()
    if (measuring || begun < measureAtMs) return
    // Known before the look at the folders begins: what has lost its name by then has none in them.
    const { diskBytes, diskFiles } = memory.nameless()
    const measureAll = async () => {
      const filesMax = (await readRoom(folder)).filesMax - diskFiles
      const limits = { bytesMax: diskBytesMax - diskBytes, filesMax }
      const use = await measureDisk([join(folder, 'work'), join(folder, 'tmp')], limits, over.signal)
      disk = { ...use, bytes: use.bytes + diskBytes }
    }
    measuring = measureAll()
      .catch((error: unknown) => log.warn({ ...details, err: error }, 'the files of a job cannot be measured'))
      .finally(() => {
        const now = performance.now()
        measureAtMs = now + Math.min(Math.max(diskPollMs, diskRestFactor * (now - begun)), diskRestMsMax)
        measuring = undefined
      })
  }

  const warnOfRest = (ended: boolean) => {
    if (!ended) log.warn(details, 'processes of a job do not end although they were killed')
  }
  const warnOfGroup = (removed: boolean) => {
    if (!removed) log.warn(details, 'the control group of a job cannot be removed')
  }
  /** Returns the grace time. A job over its limit of memory or output gets none: it could take more in that time. */
  const graceOf = (verdict: JobOutcome) =>
    verdict.ended === 'failed' && verdict.code !== 'JOB_TIMED_OUT' ? 0 : graceMs

  /** Writes the verdict if it can: a full disk, perhaps filled by this job, must not keep the job from being ended. */
  const tryPassVerdict = (verdict: JobOutcome): Promise<boolean> =>
    passVerdict(folder, verdict).then(
      () => true,
      (error: unknown) => {
        log.warn({ ...details, err: error }, 'cannot write down why a job is ended')
        unwritten = true
        return false
      },
    )
  /** Ends what the command left in the background, and waits until the wrapper has written the last output. */
  const endRest = async () => {
    const rest = await restOf(folder, whole)
    warnOfRest(await killProcesses(async () => (await members()).job, rest))
    const waitUntil = performance.now() + wrapperEndMsMax
    while (performance.now() < waitUntil && (await members()).wrapper.length > 0) await sleep(waitForWrapperMs)
    warnOfRest(await killProcesses(async () => Object.values(await members()).flat(), rest))
    await removeIpc(launch).catch((error: unknown) => log.warn({ ...details, err: error }, 'a job has left something'))
  }

  const runs = async () => first !== undefined && isAlive(first) && !(await hasEnded(folder))

  /** Looks at the attempt once. Resolves to true when it is over. */
  const look = async (): Promise<boolean> => {
    const running = await runs()
    size = await outputBytes(folder)
    if (running) measure()
    const broken = running ? await brokenLimit() : undefined
    if (!broken) await readOn()
    if (running) {
      const verdict = broken ?? (await readVerdict(folder))
      if (!verdict) return false
      decided ??= verdict
      const verdictWritten = await tryPassVerdict(verdict)
      warnOfRest(await endAttempt({ folder, first, members, graceMs: graceOf(verdict), verdictWritten, whole }))
    }
    if (forgotten) return true
    await endRest()
    await readOn()
    note(lines.finish())
    if (size > outputBytesMax) await cutOutput(folder, outputBytesMax)
    const step = await readFailedStep(folder)
    if (step) log.warn({ ...details, step }, 'the walls of a job could not be built')
    if (group) warnOfGroup(await settleGroup(folder, spec, group))
    const written = await readOutcome(folder)
    // Its pipe is closed at the limit, which ends most programs before this program sees the size.
    const exceeded = written.ended === 'exited' && size > outputBytesMax ? outputExceeded() : undefined
    const byPlatform = written.ended === 'lost' || (unwritten && written.ended === 'exited') ? decided : undefined
    const final = byPlatform ?? exceeded ?? written
    report()
    outcome = final
    callAll((watcher) => watcher.ended(final))
    return true
  }

  const run = async () => {
    await woken.wait({ ms: 0 }) // the caller of launch gets its result before its watcher gets an end
    while (!forgotten) {
      try {
        if (await look()) break
        await woken.wait({ ms: pollMs })
      } catch (error) {
        log.warn({ ...details, err: error }, 'cannot watch a job, trying again')
        await woken.wait({ ms: pollAfterErrorMs })
      }
    }
    over.abort()
    await Promise.all([measuring, steady.settled()])
  }

  return {
    join(watcher) {
      if (forgotten) return
      const [progress, final] = [latest, outcome]
      watchers.add(watcher)
      if (first) call(watcher, () => watcher.started())
      if (progress && !unreported) call(watcher, () => watcher.progressed(progress))
      if (final) call(watcher, () => watcher.ended(final))
    },
    wake: woken.notify,
    decide(verdict) {
      decided ??= verdict
      unwritten = true
    },
    forget() {
      forgotten = true
      woken.notify()
    },
    done: run(),
  }
}
