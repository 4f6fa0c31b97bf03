import { submitJob } from '../../commands/submit-job.ts'
import { aggregates, streamOf } from '../../domain/aggregates.ts'
import { Failure, isRefusal, refuse } from '../../domain/errors.ts'
import { jobFileFields, jobVariableFields, jobWordField } from '../../domain/job.events.ts'
import { graceSecondsDefault, type JobFile } from '../../domain/job.ts'
import { limitOf } from '../../domain/limits.ts'
import type { JobStatus } from '../../projections/jobs.table.ts'
import { findJob, jobs, listJobs } from '../../projections/jobs.ts'
import { asOfArgument, rowAt } from './as-of.ts'
import { builder } from './builder.ts'
import { reachPosition, requireWallet, resultPosition } from './context.ts'
import { dispatch } from './dispatch.ts'
import { ErrorCodeType, requireState } from './errors.ts'
import { limited } from './input-limits.ts'
import { keyLimit, refuseInvalidKey, withoutNulls } from './inputs.ts'
import { Job, Rental } from './nodes.ts'
import { atLeastArgument, connectionOf, pageArguments, pageRequest, toConnection } from './pages.ts'
import { nodePayloadOf } from './payloads.ts'
import { afterArgument, rowUpdates, updateTypeOf } from './subscriptions.ts'

// The node

const statuses: readonly JobStatus[] = ['queued', 'running', 'succeeded', 'failed', 'stopped']
const JobStatusType = builder.enumType('JobStatus', {
  description: 'queued → running → succeeded, failed or stopped; a lost attempt goes back to queued.',
  values: statuses,
})

const JobFileType = builder.objectRef<JobFile>('JobFile').implement({
  fields: (t) => ({ path: t.exposeString('path'), content: t.exposeString('content') }),
})

type Variable = { readonly name: string; readonly value: string }
const EnvironmentVariable = builder.objectRef<Variable>('EnvironmentVariable').implement({
  fields: (t) => ({ name: t.exposeString('name'), value: t.exposeString('value') }),
})

type LogPart = { readonly text: string; readonly nextOffset: number }
const JobLog = builder.objectRef<LogPart>('JobLog').implement({
  description: 'A part of the output of the job, standard output and standard error together.',
  fields: (t) => ({
    text: t.exposeString('text'),
    nextOffset: t.exposeInt('nextOffset', { description: 'The offset of the next part, in bytes.' }),
  }),
})

const logBytesDefault = 65_536
const logBytesMax = 262_144

Job.implement({
  description: 'A program that a renter runs on the GPUs of a rental.',
  fields: (t) => ({
    id: t.exposeID('id'),
    status: t.expose('status', { type: JobStatusType }),
    rental: t.field({
      type: Rental,
      nullable: true,
      resolve: ({ rental }, _, { loaders }) => loaders.rental(rental),
    }),
    renter: t.exposeID('renter', { description: 'A wallet.' }),
    attempt: t.exposeInt('attempt', { description: 'The number of the current or last attempt; 0 before the first.' }),
    percent: t.float({ description: '0 to 100, as the job reports it.', resolve: ({ percent }) => Number(percent) }),
    message: t.exposeString('message', { description: 'The last message of the job about its progress.' }),
    code: t.expose('code', { type: ErrorCodeType, nullable: true, description: 'Why it failed.' }),
    cluster: t.exposeString('cluster', { nullable: true }),
    stopRequested: t.exposeBoolean('stopRequested'),
    command: t.stringList({
      resolve: async (job, _, { loaders }) => [...(job.command ?? (await loaders.jobProgram(job.id))?.command ?? [])],
    }),
    files: t.field({
      type: [JobFileType],
      resolve: async (job, _, { loaders }) => [...(job.files ?? (await loaders.jobProgram(job.id))?.files ?? [])],
    }),
    environment: t.field({
      type: [EnvironmentVariable],
      resolve: async (job, _, { loaders }) => {
        const environment = job.environment ?? (await loaders.jobProgram(job.id))?.environment ?? {}
        return Object.entries(environment).map(([name, value]) => ({ name, value }))
      },
    }),
    timeoutSeconds: t.exposeInt('timeoutSeconds'),
    cpuCores: t.exposeInt('cpuCores'),
    memoryMib: t.exposeInt('memoryMib'),
    graceSeconds: t.int({
      description: 'How long it has to end after SIGTERM, before SIGKILL.',
      resolve: ({ graceSeconds }) => graceSeconds ?? graceSecondsDefault,
    }),
    submittedAt: t.expose('submittedAt', { type: 'DateTime' }),
    startedAt: t.expose('startedAt', { type: 'DateTime', nullable: true }),
    endedAt: t.expose('endedAt', { type: 'DateTime', nullable: true }),
    log: t.field({
      type: JobLog,
      description: 'The output of the current attempt so far; offset and bytesMax are in bytes.',
      args: {
        offset: t.arg.int({ defaultValue: 0 }),
        bytesMax: t.arg.int({ defaultValue: logBytesDefault, description: `1 to ${logBytesMax}` }),
      },
      resolve: ({ id, attempt }, { offset, bytesMax }, { services }) => {
        const from = offset ?? 0
        const bytes = bytesMax ?? logBytesDefault
        if (from < 0) throw new Failure('INPUT_INVALID', { offset: String(from) })
        if (bytes < 1 || bytes > logBytesMax)
          throw new Failure('INPUT_INVALID', { bytesMax: String(bytes), takes: `1 to ${logBytesMax}` })
        return attempt === 0 ? { text: '', nextOffset: 0 } : services.readJobLog({ jobId: id, attempt }, from, bytes)
      },
    }),
    position: t.expose('position', { type: 'Position', description: 'The event that last changed it.' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
})

// Queries

builder.queryField('job', (t) =>
  t.field({
    type: Job,
    nullable: true,
    description: 'A job of the viewer. Fails with JOB_UNKNOWN, NOT_YOURS.',
    args: { id: t.arg.id({ required: true }), ...asOfArgument, ...atLeastArgument },
    resolve: async (_, { id, asOf, atLeast }, context, info) => {
      const wallet = requireWallet(context)
      await reachPosition(context, atLeast, info)
      const job = await rowAt(context, asOf, { projection: jobs, stream: streamOf('job', id), id, find: findJob })
      if (!job) throw new Failure('JOB_UNKNOWN', { job: id })
      if (job.renter !== wallet) throw new Failure('NOT_YOURS')
      return job
    },
  }),
)

const JobConnection = connectionOf('Job', Job)

builder.queryField('jobs', (t) =>
  t.field({
    type: JobConnection,
    description: 'The jobs of the viewer, newest first.',
    args: {
      rental: t.arg.id(),
      status: t.arg({ type: JobStatusType }),
      ...pageArguments,
      ...atLeastArgument,
    },
    resolve: async (_, { rental, status, atLeast, ...page }, context, info) => {
      const renter = requireWallet(context)
      await reachPosition(context, atLeast, info)
      const request = { ...pageRequest(page), renter, rental: rental ?? undefined, status: status ?? undefined }
      const found = await listJobs(context.services.read, request)
      return toConnection(found, request, ({ submittedAt, id }) => [submittedAt, id])
    },
  }),
)

// Mutations

const JobFileInput = builder.inputType('JobFileInput', {
  fields: (t) => ({
    path: t.string({
      required: true,
      description: 'Relative to the working folder of the job.',
      ...limited(jobFileFields.path),
    }),
    content: t.string({ required: true, ...limited(jobFileFields.content) }),
  }),
})
const EnvironmentVariableInput = builder.inputType('EnvironmentVariableInput', {
  fields: (t) => ({
    name: t.string({ required: true, ...limited(jobVariableFields.name) }),
    value: t.string({ required: true, ...limited(jobVariableFields.value) }),
  }),
})
const fields = aggregates.job.commandFields
const commandLimit = { ...limitOf(jobWordField), ...limitOf(fields.command) }
const timeoutSecondsDefault = 3_600
const memoryMibDefault = 1_024

const SubmitJobInput = builder.inputType('SubmitJobInput', {
  fields: (t) => ({
    rental: t.id({ required: true }),
    command: t.stringList({
      required: true,
      description: 'The program and its arguments; no shell interprets them.',
      ...limited(commandLimit),
    }),
    files: t.field({
      type: [JobFileInput],
      description: 'Written into the working folder before the start.',
      ...limited(fields.files),
    }),
    environment: t.field({ type: [EnvironmentVariableInput], ...limited(fields.environment) }),
    timeoutSeconds: t.int({ defaultValue: timeoutSecondsDefault, ...limited(fields.timeoutSeconds) }),
    cpuCores: t.int({ defaultValue: 1, ...limited(fields.cpuCores) }),
    memoryMib: t.int({ defaultValue: memoryMibDefault, ...limited(fields.memoryMib) }),
    graceSeconds: t.int({
      description: `How long it has to end after SIGTERM, before SIGKILL; ${graceSecondsDefault} when left out. A job that sets it is asked to stop so much before the end of the lease, by at most a tenth of the lease.`,
      ...limited(fields.graceSeconds),
    }),
    idempotencyKey: t.string({
      required: true,
      description: 'The same key again is the same job.',
      ...limited(keyLimit),
    }),
  }),
})

builder.mutationField('submitJob', (t) =>
  t.field({
    type: nodePayloadOf('SubmitJob', 'job', Job, findJob),
    description: 'Runs a program on the GPUs of an active rental. Refuses RENTAL_NOT_ACTIVE, JOB_INVALID, …',
    args: { input: t.arg({ type: SubmitJobInput, required: true }) },
    resolve: async (_, { input }, { services, wallet }) => {
      if (wallet === undefined) return refuse('NOT_SIGNED_IN')
      const refusedKey = refuseInvalidKey(input.idempotencyKey)
      if (refusedKey) return refusedKey
      const variables = input.environment ?? []
      const submitted = await submitJob(services, {
        renter: wallet,
        idempotencyKey: input.idempotencyKey,
        rental: input.rental,
        command: input.command,
        files: input.files ?? [],
        environment: Object.fromEntries(variables.map(({ name, value }) => [name, value])),
        timeoutSeconds: input.timeoutSeconds ?? timeoutSecondsDefault,
        cpuCores: input.cpuCores ?? 1,
        memoryMib: input.memoryMib ?? memoryMibDefault,
        ...withoutNulls({ graceSeconds: input.graceSeconds }),
      })
      if (isRefusal(submitted)) return submitted
      return { id: submitted.job, position: await resultPosition(services, submitted) }
    },
  }),
)

const StopJobInput = builder.inputType('StopJobInput', { fields: (t) => ({ job: t.id({ required: true }) }) })

builder.mutationField('stopJob', (t) =>
  t.field({
    type: nodePayloadOf('StopJob', 'job', Job, findJob),
    description: 'Asks the job to end, and kills it after a grace time. It is stopped when its cluster confirms that.',
    args: { input: t.arg({ type: StopJobInput, required: true }) },
    resolve: (_, { input: { job } }, context) =>
      dispatch(context, 'job', job, (_wallet, requestedAt) => ({
        type: 'RequestStop',
        reason: 'asked for by the renter',
        requestedAt,
      })),
  }),
)

// Subscription

const JobUpdate = updateTypeOf('JobUpdate', 'job', Job, { startsWithSnapshot: true })

builder.subscriptionField('jobProgress', (t) =>
  t.field({
    type: JobUpdate,
    description: 'A job of the viewer as it is now, then each change.',
    args: { job: t.arg.id({ required: true }), ...afterArgument },
    subscribe: async (_, { job, after }, context) => {
      const wallet = requireWallet(context)
      const { renter } = await requireState(context.services.commands, 'job', job)
      if (renter !== wallet) throw new Failure('NOT_YOURS')
      return rowUpdates(context, { projection: jobs, stream: streamOf('job', job), after })
    },
    resolve: (update) => update,
  }),
)
