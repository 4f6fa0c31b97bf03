import { openJobIds } from '../projections/jobs.ts'
import { readAllPages } from '../projections/page.ts'
import { listRentals } from '../projections/rentals.ts'
import { createJobRunner } from '../scheduler/jobs.ts'
import { runScheduler } from '../scheduler/run.ts'
import type { Platform } from './platform.ts'

/** Starts the scheduler: it runs jobs on the cluster of this machine, and records heartbeats of the active rentals. */
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
  const openJobs = (rental?: string) => openJobIds(read, rental)
  const activeRentals = async () => {
    const rows = await readAllPages((page) => listRentals(read, { status: 'active', ...page }))
    return rows.flatMap(({ id, endsAt }) => (endsAt === null ? [] : { id, endsAt }))
  }
  const running = runScheduler({
    bus,
    jobs,
    heartbeats,
    openWork: { openJobs, activeRentals },
    now,
    log,
    signal: shutdown.signal,
  })
  shutdown.add('scheduler', async () => {
    await running
    await jobs.close()
  })
}
