import { listJobs } from '../projections/jobs.ts'
import { readAllPages } from '../projections/page.ts'
import { createJobRunner } from '../scheduler/jobs.ts'
import { runScheduler } from '../scheduler/run.ts'
import type { Platform } from './platform.ts'

/** More than the usual grace of a job. */
const closeMs = 40_000

/** Starts the scheduler: it runs jobs on the cluster of this machine, and sends heartbeats. */
export const startScheduler = ({
  commands,
  cluster,
  bus,
  heartbeats,
  read,
  now,
  log: parent,
  shutdown,
}: Platform): void => {
  const log = parent.child({ part: 'scheduler' })
  const jobs = createJobRunner({ commands, cluster, now, log })
  const openJobs = async (rental?: string) => {
    const ids: string[] = []
    // Those that run take their GPUs before others start.
    for (const status of ['running', 'queued'] as const) {
      const rows = await readAllPages((page) => listJobs(read, { rental, status, ...page }))
      ids.push(...rows.map(({ id }) => id))
    }
    return ids
  }
  const running = runScheduler({
    bus,
    jobs,
    heartbeats,
    openWork: { openJobs },
    now,
    log,
    signal: shutdown.signal,
  })
  const close = async () => {
    await running
    await jobs.close()
  }
  shutdown.add('scheduler', close, { closeMs })
}
