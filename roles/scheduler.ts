import { openJobIds } from '../projections/jobs.ts'
import { createJobRunner } from '../scheduler/jobs.ts'
import { showTroubledJobs } from '../scheduler/metrics.ts'
import { runScheduler } from '../scheduler/run.ts'
import { faultReason, type Platform } from './platform.ts'

/** How long a stop waits for jobs: the usual grace, and what comes after it. A job with a longer one goes on with it. */
const closeMsMax = 45_000

/** Starts the scheduler: it runs jobs on the cluster of this machine, and sends heartbeats. */
export const startScheduler = ({
  config,
  commands,
  cluster,
  bus,
  heartbeats,
  read,
  now,
  log: parent,
  metrics,
  shutdown,
}: Platform): void => {
  const log = parent.child({ part: 'scheduler' })
  const jobs = createJobRunner({ commands, cluster, heartbeats, now, log })
  showTroubledJobs(metrics, jobs)
  const openJobs = async (rental?: string, revision?: bigint) => {
    if (rental !== undefined) {
      const { state } = await commands.known('rental', rental, revision)
      if ('openJobs' in state) return [...state.openJobs.keys()]
      // It ends after the last of its jobs. What an older version has left open is in the list of all.
      if (state.status === 'ended' || state.status === 'settled') return []
    }
    // Those that run come first: they take their GPUs before others start.
    return openJobIds(read, rental)
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
  const close = async (reason: string) => {
    await running
    // No one has asked for the end of the jobs at a fault: the next start adopts them, as after a crash.
    const leaveJobs = reason === faultReason || (reason === 'SIGTERM' && config.jobsOnSigterm === 'leave')
    await jobs.close({ leaveJobs })
  }
  shutdown.add('scheduler', close, { closeMs: closeMsMax })
}
