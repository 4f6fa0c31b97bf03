import type { Event } from '../domain/job.ts'
import type { ReadModels } from './database.ts'
import { existing, projection } from './engine/projection.ts'
import { type JobRow, type JobStatus, jobsTable } from './jobs.table.ts'
import { byIds, isMoment, isText, type Page, type PageRequest, pageOf, readCursor, rowsToRead } from './page.ts'

export const jobs = projection<Event, JobRow>({
  name: 'jobs',
  version: 1,
  table: jobsTable,
  key: (_, { id }) => id,
  fold: {
    JobSubmitted: (_, { type, ...submitted }) => ({
      ...submitted,
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
    JobStarted: (row, { attempt, cluster, startedAt }, recorded) => ({
      ...existing(row, recorded),
      status: 'running',
      attempt,
      cluster,
      startedAt,
      percent: 0,
      message: '',
    }),
    JobProgressed: (row, { percent, message }, recorded) => ({ ...existing(row, recorded), percent, message }),
    JobInterrupted: (row, { reason }, recorded) => ({
      ...existing(row, recorded),
      status: 'queued',
      percent: 0,
      message: reason,
      cluster: null,
    }),
    JobStopRequested: (row, _, recorded) => ({ ...existing(row, recorded), stopRequested: true }),
    JobSucceeded: (row, { attempt, endedAt }, recorded) => ({
      ...existing(row, recorded),
      status: 'succeeded',
      attempt,
      percent: 100,
      endedAt,
    }),
    JobFailed: (row, { attempt, code, message, endedAt }, recorded) => ({
      ...existing(row, recorded),
      status: 'failed',
      attempt,
      code,
      message,
      endedAt,
    }),
    JobStopped: (row, { attempt, endedAt }, recorded) => ({
      ...existing(row, recorded),
      status: 'stopped',
      attempt,
      endedAt,
    }),
  },
})

/** Many jobs with one query, in the order asked. */
export const findJobs = (read: ReadModels, ids: readonly string[]): Promise<(JobRow | undefined)[]> =>
  byIds(ids, (wanted) =>
    read.run('jobs.find', (db) => db.selectFrom('Job').selectAll().where('id', 'in', wanted).execute()),
  )

export const findJob = async (read: ReadModels, id: string): Promise<JobRow | undefined> =>
  (await findJobs(read, [id]))[0]

export type JobList = PageRequest & {
  readonly rental?: string | undefined
  readonly renter?: string | undefined
  readonly status?: JobStatus | undefined
}

/** Jobs, the newest first. Throws INPUT_INVALID. */
export const listJobs = async (read: ReadModels, list: JobList): Promise<Page<JobRow>> => {
  const { rental, renter, status } = list
  const [submittedAt, id] = readCursor(list.after, [isMoment, isText]) ?? []
  const rows = await read.run('jobs.list', (db) => {
    let found = db.selectFrom('Job').selectAll()
    if (rental !== undefined) found = found.where('rental', '=', rental)
    if (renter !== undefined) found = found.where('renter', '=', renter)
    if (status !== undefined) found = found.where('status', '=', status)
    if (submittedAt !== undefined && id !== undefined)
      found = found.where((eb) => eb(eb.refTuple('submittedAt', 'id'), '<', eb.tuple(submittedAt, id)))
    return found.orderBy('submittedAt', 'desc').orderBy('id', 'desc').limit(rowsToRead(list)).execute()
  })
  return pageOf(rows, list, (row) => [row.submittedAt, row.id])
}
