import { systemActors } from '../commands/actor.ts'
import { commandIds } from '../commands/derived-ids.ts'
import { type Commands, requestEnvelope } from '../commands/execute.ts'
import type { EventOf, StateOf } from '../domain/aggregates.ts'
import { Failure, isRefusal } from '../domain/errors.ts'
import { graceSecondsDefault } from '../domain/job.ts'
import { createKeyedRunner } from '../infra/async/keyed-queue.ts'
import type { Cluster, JobSpec } from '../infra/clusters/port.ts'
import type { Heartbeats } from '../infra/heartbeats/port.ts'
import type { Log } from '../infra/telemetry.ts'
import { capsOf } from './caps.ts'
import { failedStartCommandOf, isFaultOfCluster } from './failed-start.ts'
import { createPending } from './pending.ts'
import { createReports, leaseOver } from './reports.ts'
import { specOf } from './requested-job.ts'
import type { RetryLimits } from './send-report.ts'
import { createSlots } from './slots.ts'
import { createTroubles } from './troubles.ts'

type Dependencies = {
  readonly commands: Commands
  readonly cluster: Cluster
  readonly heartbeats: Pick<Heartbeats, 'beat'>
  /** ISO 8601 in UTC. */
  readonly now: () => string
  readonly log: Log
  /** How long reports are tried again. */
  readonly limits?: RetryLimits
}

/** Pauses before a relist tries a job again that could not be reconciled. */
const pauseMsMin = 5_000
const pauseMsMax = 600_000
/** An alarm that is further away is set again then. */
const alarmMsMax = 86_400_000

export type JobRunner = {
  /** Compares what the log has of a job with what the cluster runs, and brings the cluster to the state of the log:
   *  starts the job, adopts it, stops it, or leaves it. Safe to call at any time, any number of times. Never throws: a
   *  failure is logged, and a `relist` leaves the job out for a growing pause. */
  reconcile(job: string, options?: { readonly relist?: boolean }): Promise<void>
  /** Stops what runs on this cluster though its end is in the log: an operator has declared it lost while the cluster
   *  was away. Looks at the jobs that this runner watches or that wait in their turn for the cluster, except those of
   *  `open`, and the first time at all that the cluster has. */
  stopEnded(open: readonly string[]): Promise<void>
  /** Returns how many jobs failed to be reconciled lately, or wait for a cluster that does not answer. */
  troubledJobs(): number
  /** Stops the jobs of this cluster. Resolves when their ends are recorded; the next platform starts them anew. With
   *  `leaveJobs` they run on, and the next platform adopts them. */
  close(options?: { readonly leaveJobs?: boolean }): Promise<void>
}

/** Creates the runner that runs the jobs of the log on one cluster. */
export const createJobRunner = ({ commands, cluster, heartbeats, now, log, limits }: Dependencies): JobRunner => {
  const reports = createReports({ commands, heartbeats, now, log, limits })
  /** By job, the attempt that this runner watches on its cluster. */
  const watchedAttempts = new Map<string, number>()
  const inOrder = createKeyedRunner()
  const reconciliations = createPending()
  const stops = createPending()
  const troubled = createTroubles({ pauseMsMin, pauseMsMax })
  const stopping = new Set<string>()
  const alarms = new Map<string, NodeJS.Timeout>()
  const slots = createSlots()
  let closing = false

  /** Gives the slot of a job back, and lets the next ones of its rental start. One that does not start gives way. */
  const leave = (job: string): void => {
    const start = (next: string) => reconcile(next).then(() => slots.has(next) || leave(next))
    for (const next of closing ? [] : slots.release(job)) void reconciliations.track(start(next))
  }

  const launch = async (spec: JobSpec): Promise<void> => {
    const { jobId: job, attempt } = spec
    watchedAttempts.set(job, attempt)
    const onEnd = async (isRecorded: boolean) => {
      watchedAttempts.delete(job)
      leave(job)
      clearTimeout(alarms.get(job))
      alarms.delete(job)
      if (isRecorded) return reconcile(job)
      // The cluster still knows the end: after a pause it is adopted, and reported again.
      troubled.failed(job)
    }
    try {
      const outcome = await cluster.launch(spec, reports.createWatcher(job, attempt, onEnd))
      log.info({ job, attempt, cluster: cluster.name }, `job ${outcome}`)
    } catch (error) {
      watchedAttempts.delete(job)
      const { state } = await commands.current('job', job)
      // It keeps its turn, and the next look launches the same attempt. One that is to stop has nothing to wait for.
      if (isFaultOfCluster(error) && state.status === 'running' && !state.stopRequested) {
        const pauseMs = troubled.failed(job)
        log.warn(
          { job, attempt, err: error, pauseMs },
          'the cluster cannot start jobs; the job waits, and loses no attempt',
        )
        return
      }
      leave(job)
      log.error({ job, attempt, err: error }, 'the cluster could not start a job')
      const isRecorded = await reports.recordEnd(job, attempt, async () => failedStartCommandOf(attempt, error, now()))
      if (!isRecorded) troubled.failed(job)
    }
  }

  /** Stops an attempt in the background, since a job may take its whole grace time. */
  const stop = (jobId: string, attempt: number): void => {
    const key = `${jobId}/${attempt}`
    if (stopping.has(key)) return
    stopping.add(key)
    const stopped = cluster
      .stop({ jobId, attempt })
      .catch((error) => {
        troubled.failed(jobId)
        log.warn({ job: jobId, attempt, err: error }, 'a job could not be stopped, and is stopped again later')
      })
      .finally(() => stopping.delete(key))
    void stops.track(stopped)
  }

  const requestStop = async (job: string, reason: string): Promise<JobState> => {
    const answer = await reports.send(job, { type: 'RequestStop', reason, requestedAt: now() })
    if (isRefusal(answer)) throw new Failure(answer.refused, answer.details)
    return answer.state
  }

  /** Has the rental wait for the job at its end. Jobs that were submitted before rentals knew their jobs, or by a
   *  request that died half way, come here first. */
  const admit = async (job: string, rental: string, { graceSeconds = graceSecondsDefault }: Submitted) => {
    const { first } = await commands.current('rental', rental)
    const commandId = commandIds.admitJob(rental, job)
    const envelope = requestEnvelope(commandId, systemActors.scheduler, now(), first?.correlationId)
    const admission = { type: 'AdmitJob', job, graceSeconds, admittedAt: now() } as const
    const answer = await commands.execute('rental', rental, admission, envelope)
    if (isRefusal(answer)) throw new Failure(answer.refused, answer.details)
  }

  const reconcileNow = async (job: string): Promise<void> => {
    const { state, first } = await commands.current('job', job)
    const submitted = first?.event
    if (closing || submitted?.type !== 'JobSubmitted') return
    if (state.status !== 'queued' && state.status !== 'running') return
    const { state: rental } = await commands.current('rental', state.rental)
    const reason = state.stopRequested ? undefined : reasonToStop(rental, state, submitted, now())
    const asked = reason === undefined ? state : await requestStop(job, reason)
    if (asked.status === 'running') return follow(job, asked, submitted, rental)
    if (asked.status !== 'queued' || rental.status !== 'active') return
    if (!rental.openJobs.has(job)) await admit(job, state.rental, submitted)
    if (!slots.take(state.rental, job, rental.gpuCount)) return
    // The intent is recorded first: only one of several schedulers can start this attempt, and after a crash the
    // attempt is found as running by the next look.
    const attempt = state.attempt + 1
    try {
      // Nothing is acknowledged before a first beat, and that of the scheduler's own clock may be late.
      await heartbeats.beat(now())
      const start = { type: 'StartJob', attempt, cluster: cluster.name, startedAt: now() } as const
      const answer = await reports.send(job, start, cluster.name, String(attempt))
      if (isRefusal(answer)) return leave(job)
      await launch(await specFor(job, attempt, submitted, rental))
    } catch (error) {
      leave(job)
      throw error
    }
    stopInTime(job, submitted, rental)
  }

  const specFor = async (job: string, attempt: number, submitted: Submitted, rental: RentalState) => {
    const known = rental.status === 'none' ? undefined : rental
    const listing = known && (await commands.current('listing', known.listing)).state
    return specOf(job, attempt, submitted, rental, known && listing && capsOf(listing, known.gpuCount), now())
  }

  /** Watches a running attempt if it is one of this cluster, and stops it if that was requested. */
  const follow = async (
    job: string,
    { attempt, stopRequested }: Running,
    submitted: Submitted,
    rental: RentalState,
  ) => {
    if (rental.status === 'active' && !rental.openJobs.has(job)) await admit(job, submitted.rental, submitted)
    if (!watchedAttempts.has(job)) {
      const { history } = await commands.load('job', job)
      const started = history.findLast(({ event }) => event.type === 'JobStarted')?.event
      if (started?.type !== 'JobStarted') return
      if (started.cluster !== cluster.name) {
        if (stopRequested) warnOfSilence(job, started.cluster)
        return
      }
      slots.hold(submitted.rental, job)
      await launch(await specFor(job, attempt, submitted, rental))
    }
    if (stopRequested) stop(job, attempt)
    else stopInTime(job, submitted, rental)
  }

  /** Logs that a job is to stop on another cluster. Unknown is not dead: until that cluster reports that the job is gone,
   *  the GPUs stay reserved. */
  const warnOfSilence = (job: string, itsCluster: string): void => {
    const pauseMs = troubled.failed(job)
    log.warn(
      { job, cluster: itsCluster, pauseMs },
      'a job is to stop, and only its own cluster can report that it is gone',
    )
  }

  /** Sets the alarm of a job that has asked for time before the end of the lease. */
  const stopInTime = (job: string, submitted: Submitted, rental: RentalState): void => {
    if (rental.status !== 'active' || submitted.graceSeconds === undefined) return
    const waitMs = Date.parse(stopTimeOf(rental, submitted)) - Date.parse(now())
    clearTimeout(alarms.get(job))
    const alarm = setTimeout(
      () => {
        alarms.delete(job)
        void reconcile(job)
      },
      Math.min(Math.max(waitMs, 0), alarmMsMax),
    )
    alarms.set(job, alarm.unref())
  }

  const reconcileOrPause = async (job: string): Promise<void> => {
    try {
      await reconcileNow(job)
    } catch (error) {
      const pauseMs = troubled.failed(job, error)
      log.warn({ job, err: error, pauseMs }, 'a job could not be reconciled, and is looked at again later')
    }
  }
  const reconcile: JobRunner['reconcile'] = async (job, { relist = false } = {}) => {
    if (relist && troubled.isPaused(job)) return
    await reconciliations.track(inOrder(job, () => reconcileOrPause(job)))
  }

  let isListed = false
  const stopEnded: JobRunner['stopEnded'] = async (open) => {
    const running = (isListed ? [] : await cluster.list()).filter((handle) => handle.running)
    isListed = true
    const attempts = new Map(running.map(({ jobId, attempt }) => [jobId, attempt]))
    for (const [job, attempt] of watchedAttempts) attempts.set(job, attempt)
    const looked = new Set([...attempts.keys(), ...slots.holders()])
    for (const job of open) looked.delete(job)
    for (const job of looked) {
      const { state } = await commands.current('job', job)
      if (state.status !== 'succeeded' && state.status !== 'failed' && state.status !== 'stopped') continue
      const attempt = attempts.get(job)
      attempt === undefined ? leave(job) : stop(job, attempt)
    }
  }

  return {
    reconcile,
    stopEnded,
    troubledJobs: () => troubled.count,
    close: async ({ leaveJobs = false } = {}) => {
      closing = true
      for (const alarm of alarms.values()) clearTimeout(alarm)
      await reconciliations.idle()
      if (leaveJobs) {
        await cluster.close({ stopJobs: false })
        await reports.close()
        return
      }
      // A cluster that closes drops its watchers, so the jobs are stopped first: the watchers then report their ends.
      for (const [job, attempt] of watchedAttempts) stop(job, attempt)
      await stops.idle()
      await reports.close()
      await cluster.close({ stopJobs: true })
    },
  }
}

type Submitted = Extract<EventOf<'job'>, { type: 'JobSubmitted' }>
type JobState = StateOf<'job'>
type Running = Extract<JobState, { status: 'running' }>
type RentalState = StateOf<'rental'>
type ActiveRental = Extract<RentalState, { status: 'active' }>

/** A job that has set a grace is asked to stop before the end by at most this part of the lease: a tenth. */
const leasePartMax = 10

/** Returns when a job is asked to stop before the end of the lease: only one that has set a grace is, and by at most a
 *  tenth of the lease. */
const stopTimeOf = ({ endsAt, seconds }: ActiveRental, { graceSeconds = 0 }: Submitted): string =>
  new Date(Date.parse(endsAt) - Math.min(graceSeconds, Number(seconds) / leasePartMax) * 1000).toISOString()

/** Returns why the job is to stop, or undefined when it may go on. */
const reasonToStop = (
  rental: RentalState,
  { status }: JobState,
  submitted: Submitted,
  at: string,
): string | undefined => {
  if (rental.status === 'ending') return 'the rental ends'
  if (rental.status !== 'active') return 'the rental has ended'
  if (at >= rental.endsAt) return leaseOver
  return status === 'running' && submitted.graceSeconds !== undefined && at >= stopTimeOf(rental, submitted)
    ? 'the rented time is nearly over'
    : undefined
}
