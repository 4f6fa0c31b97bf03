import { decodeDomainEvent, idOf } from '../domain/aggregates.ts'
import { sleep } from '../infra/async/sleep.ts'
import type { Bus } from '../infra/bus/port.ts'
import type { StoredEvent } from '../infra/event-store/port.ts'
import type { Heartbeats } from '../infra/heartbeats/port.ts'
import type { Log } from '../infra/telemetry.ts'
import { consumers } from '../processes/names.ts'
import type { JobRunner } from './jobs.ts'

/** Lists open work from the read models. An event is only a hint that something changed; these lists are the truth, and
 *  they are read again and again. */
export type OpenWork = {
  /** Resolves to the ids of the jobs that are queued or running: all of them, or those of one rental as of a revision
   *  or later. Of a rental that is ending, they come from the log itself. */
  readonly openJobs: (rental?: string, revision?: bigint) => Promise<readonly string[]>
}

const relistEveryMs = 10_000
/** What was not acknowledged is not billed: a rental that is returned loses at most the time since the last beat. */
const heartbeatEveryMs = 1_000

const logEveryMs = 60_000

const jobEvents = ['JobSubmitted', 'JobInterrupted', 'JobStopRequested'] as const

/** Runs the jobs of this cluster, and sends heartbeats. Resolves when the signal aborts; the
 *  jobs run on until the runner is closed. */
export const runScheduler = async ({
  bus,
  jobs,
  heartbeats,
  openWork,
  now,
  log,
  signal,
}: {
  readonly bus: Bus
  readonly jobs: Pick<JobRunner, 'reconcile' | 'stopEnded' | 'close'>
  readonly heartbeats: Pick<Heartbeats, 'beat'>
  readonly openWork: OpenWork
  readonly now: () => string
  readonly log: Log
  readonly signal: AbortSignal
}): Promise<void> => {
  const handle = async ({ stream, revision, type, data, metadata }: StoredEvent): Promise<void> => {
    const id = idOf(stream)
    const event = decodeDomainEvent({ type, data, version: metadata.schemaVersion })
    if (event.type !== 'RentalEnded' && event.type !== 'RentalEndRequested') return jobs.reconcile(id)
    for (const job of await openWork.openJobs(id, revision)) await jobs.reconcile(job)
  }

  let beatenMs = Number.NEGATIVE_INFINITY
  const beat = async (): Promise<void> => {
    await heartbeats.beat(now())
    beatenMs = performance.now()
  }

  const relist = async (): Promise<void> => {
    const open = await openWork.openJobs()
    for (const job of open)
      await jobs.reconcile(job, { relist: true }).catch((error) => log.warn({ job, err: error }, 'a job was left out'))
    await jobs.stopEnded(open)
  }

  await Promise.all([
    every(relistEveryMs, relist, 'open jobs could not be reconciled', log, signal),
    every(heartbeatEveryMs, beat, 'heartbeats could not be recorded', log, signal),
    bus.consume({
      consumer: consumers.scheduler,
      filter: { types: [...jobEvents, 'RentalActivated', 'RentalEndRequested', 'RentalEnded'] },
      signal,
      handle: async ({ events }) => {
        const attempt = ({ stream, type }: StoredEvent, work: Promise<void>) =>
          work.catch((error) =>
            log.warn(
              { stream, type, err: error },
              'an event could not be handled; the lists of open work make up for it',
            ),
          )
        const begun = events.find(({ type }) => type === 'RentalActivated')
        // The first seconds of a rental do not wait for a beat that is late, and one is for all that have begun.
        if (begun && performance.now() - beatenMs > heartbeatEveryMs) await attempt(begun, beat())
        for (const event of events) if (event.type !== 'RentalActivated') await attempt(event, handle(event))
      },
    }),
  ])
}

/** Does the work at once, and then again `ms` after each end, until the signal aborts. Goes on after a failure; logs the
 *  first one of a row, and then about one a minute. */
const every = async (
  ms: number,
  work: () => Promise<void>,
  failureMessage: string,
  log: Log,
  signal: AbortSignal,
): Promise<void> => {
  let loggedAt = Number.NEGATIVE_INFINITY
  while (!signal.aborted) {
    try {
      await work()
      loggedAt = Number.NEGATIVE_INFINITY
    } catch (error) {
      if (performance.now() - loggedAt > logEveryMs) {
        log.warn({ err: error }, failureMessage)
        loggedAt = performance.now()
      }
    }
    await sleep(ms, signal)
  }
}
