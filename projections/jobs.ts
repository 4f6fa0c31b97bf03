import type { Event } from '../domain/job.ts'
import type { ReadModels } from './database.ts'
import { existing, projection } from './engine/projection.ts'
import { type JobRow, type JobStatus, jobsTable } from './jobs.table.ts'
import type { Page, PageRequest } from './page.ts'
import { findAll, findByIds, findOne, newestFirst, whereEqual } from './queries.ts'

/** Programs on rented GPUs. */
export const jobs = projection<Event, JobRow>({
  name: 'jobs',
  version: 2,
  table: jobsTable,
  key: (_, { id }) => id,
  fold: {
    JobSubmitted: (_, { type, graceSeconds = null, ...submitted }) => ({
      ...submitted,
      graceSeconds,
      status: 'queued',
      attempt: 0,
      percent: 0,
      message: '',
      code: null,
      cluster: null,
      stopRequested: false,
      startedAt: null,
      endedAt: null,
    }),
    JobStarted: (row, { attempt, cluster, startedAt }, metadata) => ({
      ...existing(row, metadata),
      status: 'running',
      attempt,
      cluster,
      startedAt,
      percent: 0,
      message: '',
    }),
    JobProgressed: (row, { percent, message }, metadata) => ({ ...existing(row, metadata), percent, message }),
    JobInterrupted: (row, { reason }, metadata) => ({
      ...existing(row, metadata),
      status: 'queued',
      percent: 0,
      message: reason,
      cluster: null,
    }),
    JobStopRequested: (row, _, metadata) => ({ ...existing(row, metadata), stopRequested: true }),
    JobSucceeded: (row, { attempt, endedAt }, metadata) => ({
      ...existing(row, metadata),
      status: 'succeeded',
      attempt,
      percent: 100,
      endedAt,
    }),
    JobFailed: (row, { attempt, code, message, endedAt }, metadata) => ({
      ...existing(row, metadata),
      status: 'failed',
      attempt,
      code,
      message,
      endedAt,
    }),
    JobStopped: (row, { attempt, endedAt }, metadata) => ({
      ...existing(row, metadata),
      status: 'stopped',
      attempt,
      endedAt,
    }),
  },
})

/** Finds jobs with one query, in the order of the ids. */
export const findJobs = findByIds<JobRow>('jobs.find', (db) => db.selectFrom('Job').selectAll())

/** Finds one job. */
export const findJob = findOne(findJobs)

/** Resolves to the ids of the jobs that are running or queued, in this order: all of them, or those of one rental. Reads no
 *  column with the program, since a job may carry files. */
export const openJobIds = async (read: ReadModels, rental?: string): Promise<readonly string[]> => {
  const rows = await findAll(read, 'jobs.openIds', (db) => {
    const open = db.selectFrom('Job').select(['id', 'status', 'rental']).where('status', 'in', ['queued', 'running'])
    return whereEqual(open, { rental })
  })
  const [running, queued] = [
    rows.filter(({ status }) => status === 'running'),
    rows.filter(({ status }) => status !== 'running'),
  ]
  return [...running, ...queued].map(({ id }) => id)
}

/** What a job runs: up to half a megabyte. */
export type JobProgram = Pick<JobRow, 'command' | 'files' | 'environment'>
/** A job without what it runs, as lists have it. */
export type ListedJob = Omit<JobRow, keyof JobProgram>

const listedColumns = [
  'id',
  'rental',
  'renter',
  'status',
  'attempt',
  'percent',
  'message',
  'code',
  'cluster',
  'stopRequested',
  'timeoutSeconds',
  'cpuCores',
  'memoryMib',
  'graceSeconds',
  'submittedAt',
  'startedAt',
  'endedAt',
  'position',
  'updatedAt',
] as const

/** Finds what jobs run with one query, in the order of the ids. */
export const findJobPrograms = findByIds<JobProgram & { readonly id: string }>('jobs.programs', (db) =>
  db.selectFrom('Job').select(['id', 'command', 'files', 'environment']),
)

export type JobList = PageRequest & {
  readonly rental?: string | undefined
  readonly renter?: string | undefined
  readonly status?: JobStatus | undefined
}

/** Resolves to one page of jobs, the newest first. Throws INPUT_INVALID. */
export const listJobs = (read: ReadModels, list: JobList): Promise<Page<ListedJob>> => {
  const { rental, renter, status } = list
  return newestFirst(read, 'jobs.list', list, 'submittedAt', (db) =>
    whereEqual(db.selectFrom('Job').select(listedColumns), { rental, renter, status }),
  )
}
