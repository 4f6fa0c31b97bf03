import { setTimeout as sleep } from 'node:timers/promises'
import { decodeDomainEvent, idOf } from '../domain/aggregates.ts'
import type { Bus } from '../infra/bus/port.ts'
import type { StoredEvent } from '../infra/event-store/port.ts'
import type { Heartbeats } from '../infra/heartbeats/port.ts'
import type { Log } from '../infra/telemetry.ts'
import { consumers } from '../processes/names.ts'
import type { JobRunner } from './jobs.ts'

/** What the read models say is open. The log is a hint of what changed; this list is the truth that is gone back to. */
export type OpenWork = {
  readonly openJobs: (rental?: string) => Promise<readonly string[]>
  /** `endsAt` is ISO 8601. */
  readonly activeRentals: () => Promise<readonly { readonly id: string; readonly endsAt: string }[]>
}

const relistEveryMs = 10_000
const beatEveryMs = 5_000

const jobEvents = ['JobSubmitted', 'JobInterrupted', 'JobStopRequested'] as const

/** Runs the jobs of this cluster and says that their rentals live. Resolves on abort; the jobs run on until the runner is
 *  closed. */
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
  readonly jobs: JobRunner
  readonly heartbeats: Heartbeats
  readonly openWork: OpenWork
  readonly now: () => string
  readonly log: Log
  readonly signal: AbortSignal
}): Promise<void> => {
  const handle = async ({ stream, type, data, metadata }: StoredEvent): Promise<void> => {
    const id = idOf(stream)
    const event = decodeDomainEvent({ type, data, version: metadata.schemaVersion })
    if (event.type === 'RentalActivated') return heartbeats.begin(id, event.startedAt)
    if (event.type !== 'RentalEnded') return jobs.reconcile(id)
    for (const job of await openWork.openJobs(id)) await jobs.reconcile(job)
    await heartbeats.end(id)
  }

  const relist = async (): Promise<void> => {
    for (const job of await openWork.openJobs()) await jobs.reconcile(job)
  }

  const beat = async (): Promise<void> => {
    const at = now()
    // Time beyond the end was not rented, and must not make up for an earlier silence.
    const running = (await openWork.activeRentals()).filter(({ endsAt }) => endsAt > at)
    await heartbeats.beat(
      running.map(({ id }) => id),
      at,
    )
  }

  await Promise.all([
    every(relistEveryMs, relist, 'open jobs could not be looked through', log, signal),
    every(beatEveryMs, beat, 'heartbeats could not be recorded', log, signal),
    bus.consume({
      consumer: consumers.scheduler,
      filter: { types: [...jobEvents, 'RentalActivated', 'RentalEnded'] },
      signal,
      handle: async ({ events }) => {
        for (const event of events) await handle(event)
      },
    }),
  ])
}

/** At once, and then again and again until the signal aborts. A failure is logged and the next time comes. */
const every = async (
  ms: number,
  work: () => Promise<void>,
  trouble: string,
  log: Log,
  signal: AbortSignal,
): Promise<void> => {
  while (!signal.aborted) {
    await work().catch((error) => log.warn({ err: error }, trouble))
    await sleep(ms, undefined, { signal }).catch(() => undefined)
  }
}
