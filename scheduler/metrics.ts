import { Gauge } from 'prom-client'
import type { Metrics } from '../infra/telemetry.ts'
import type { JobRunner } from './jobs.ts'

/** Shows how many jobs need a look: they could not be reconciled lately, or wait for a cluster that does not answer. */
export const showTroubledJobs = (registry: Metrics, jobs: Pick<JobRunner, 'troubledJobs'>): void => {
  new Gauge({
    name: 'scheduler_troubled_jobs',
    help: 'Jobs that could not be reconciled lately, or are to stop on a cluster that does not answer.',
    registers: [registry],
    collect() {
      this.set(jobs.troubledJobs())
    },
  })
}
