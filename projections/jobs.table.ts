import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { ErrorCode } from '../domain/errors.ts'
import type { JobFile, State } from '../domain/job.ts'
import { key, moment, readSchema, stamps } from './engine/table.ts'

export type JobStatus = Exclude<State['status'], 'none'>

/** Programs on rented GPUs, with everything needed to launch them. `attempt` is the running attempt, or the last
 *  one. */
export const jobsTable = defineEntity({
  name: 'Job',
  tableName: 'jobs',
  schema: readSchema,
  properties: {
    id: key().primary(),
    rental: key(),
    renter: key(),
    status: p.text().$type<JobStatus>(),
    attempt: p.integer(),
    percent: p.double(),
    message: p.text(),
    code: p.text().$type<ErrorCode>().strictNullable(),
    cluster: p.text().strictNullable(),
    stopRequested: p.boolean(),
    command: p.json<readonly string[]>(),
    files: p.json<readonly JobFile[]>(),
    environment: p.json<Readonly<Record<string, string>>>(),
    timeoutSeconds: p.integer(),
    cpuCores: p.integer(),
    memoryMib: p.integer(),
    /** Null: the default. */
    graceSeconds: p.integer().strictNullable(),
    submittedAt: moment(),
    startedAt: moment().strictNullable(),
    endedAt: moment().strictNullable(),
    ...stamps(),
  },
  indexes: [
    { properties: ['submittedAt', 'id'] },
    { properties: ['rental', 'submittedAt', 'id'] },
    { properties: ['renter', 'submittedAt', 'id'] },
    { properties: ['status', 'submittedAt', 'id'] },
  ],
})
export type JobRow = InferEntity<typeof jobsTable>
