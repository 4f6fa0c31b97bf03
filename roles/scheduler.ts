import { openJobIds } from '../projections/jobs.ts'
import { createJobRunner } from '../scheduler/jobs.ts'
import { runScheduler } from '../scheduler/run.ts'
import type { Platform } from './platform.ts'

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
  const openJobs = (rental?: string) => openJobIds(read, rental)
  const running = runScheduler({
    bus,
    jobs,
    heartbeats,
    openWork: { openJobs },
    now,
    log,
    signal: shutdown.signal,
  })
  shutdown.add('scheduler', async () => {
    await running
    await jobs.close()
  })
}
