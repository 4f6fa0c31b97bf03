import { Failure, type Refusal, refuse } from '../../domain/errors.ts'
import type { ParkedStream } from '../../projections/engine/parked-streams.ts'
import type { ProjectionStatus } from '../../projections/engine/status.ts'
import { hasPrivilege, refuseWithoutPrivilege, requirePrivilege } from '../auth/privilege.ts'
import { builder } from './builder.ts'
import { limited } from './input-limits.ts'
import { streamLimit } from './inputs.ts'
import { payloadOf } from './payloads.ts'

// The state of the read models

const ProjectionState = builder.enumType('ProjectionState', {
  values: {
    STARTING: { value: 'starting', description: 'It is not being built yet.' },
    BUILDING: { value: 'building', description: 'This version is being built next to the one that queries read.' },
    RUNNING: { value: 'running', description: 'It is kept up to date.' },
    WAITING: { value: 'waiting', description: 'It has failed and will retry.' },
    SUPERSEDED: { value: 'superseded', description: 'The database has a newer version than this program.' },
  } as const,
})

const Progress = builder.objectRef<NonNullable<ProjectionStatus['building']>>('ProjectionProgress').implement({
  description: 'The progress of a version that is being built.',
  fields: (t) => ({
    version: t.exposeInt('version'),
    position: t.field({ type: 'Position', resolve: ({ position }) => position }),
    percent: t.exposeFloat('percent'),
    perSecond: t.exposeFloat('perSecond', {
      nullable: true,
      description: 'In the unit of the log: events, or bytes of a log that is not in PostgreSQL.',
    }),
    secondsLeft: t.exposeFloat('secondsLeft', { nullable: true, description: 'Null while it cannot be estimated.' }),
  }),
})

const Parked = builder.objectRef<ParkedStream>('ParkedStream').implement({
  description: 'A stream that a read model cannot fold any further. Its rows stay as they were before the event.',
  fields: (t) => ({
    stream: t.exposeString('stream'),
    revision: t.string({
      description: 'The revision of the event that could not be folded, as decimal text.',
      resolve: ({ revision }) => String(revision),
    }),
    position: t.field({
      type: 'Position',
      description: 'The position of that event.',
      resolve: ({ position }) => position,
    }),
    type: t.exposeString('type', { description: 'The type of that event.' }),
    code: t.exposeString('code'),
    error: t.string({
      nullable: true,
      description: 'May quote what the event holds: for operators, null for all others.',
      resolve: ({ message }, _, { privilege }) => (hasPrivilege(privilege, 'operator') ? message : null),
    }),
    held: t.string({
      description: 'The number of later events of the stream that wait, as decimal text.',
      resolve: ({ held }) => String(held),
    }),
    since: t.expose('since', { type: 'DateTime' }),
  }),
})

const ProjectionType = builder.objectRef<ProjectionStatus>('Projection').implement({
  description: 'A read model: a table that queries read, folded from the log.',
  fields: (t) => ({
    name: t.exposeString('name'),
    version: t.exposeInt('version', { description: 'The version of this program.' }),
    state: t.field({ type: ProjectionState, resolve: ({ state }) => state }),
    servedVersion: t.int({
      nullable: true,
      description: 'The version that queries read; null before the first one is built.',
      resolve: ({ served }) => served?.version,
    }),
    position: t.field({
      type: 'Position',
      nullable: true,
      description: 'The position up to which the served version reflects the log.',
      resolve: ({ served }) => served?.position,
    }),
    lag: t.float({
      nullable: true,
      description: 'The distance to the end of the log, in the unit of the log.',
      resolve: ({ served }) => served?.lag,
    }),
    progress: t.field({ type: Progress, nullable: true, resolve: ({ building }) => building }),
    failure: t.string({
      nullable: true,
      description: 'The failure for which it waits: its code, for operators with its text.',
      resolve: ({ failure }, _, { privilege }) =>
        failure && (hasPrivilege(privilege, 'operator') ? `${failure.code}: ${failure.message}` : failure.code),
    }),
    parkedStreams: t.int({ description: 'The number of parked streams.', resolve: ({ parked }) => parked.streams }),
    parked: t.field({
      type: [Parked],
      description: 'The first 100 parked streams, by name.',
      resolve: ({ parked }) => parked.first,
    }),
  }),
})

builder.queryField('projections', (t) =>
  t.field({
    type: [ProjectionType],
    description: 'The state of the read models, for operators, auditors and analysts. Fails with PRIVILEGE_NEEDED.',
    resolve: async (_, _arguments, context) => {
      requirePrivilege('analyst', context)
      return (await context.services.projections.status()).projections
    },
  }),
)

// Retry

type Answer = { readonly projection: string; readonly stream: string; readonly events: number }

const RetrySuccess = builder.objectRef<Answer>('RetryParkedStreamSuccess')
RetrySuccess.implement({
  description: 'The stream is not parked any more.',
  fields: (t) => ({
    projection: t.exposeString('projection'),
    stream: t.exposeString('stream'),
    events: t.exposeInt('events', { description: 'The number of events that had waited and are folded now.' }),
  }),
})

const RetryInput = builder.inputType('RetryParkedStreamInput', {
  fields: (t) => ({
    projection: t.string({ required: true }),
    stream: t.string({ required: true, ...limited(streamLimit) }),
  }),
})

const refusalCodes = ['PARKED_STREAM_UNKNOWN', 'DATABASE_SCHEMA_NEWER']

builder.mutationField('retryParkedStream', (t) =>
  t.field({
    type: payloadOf('RetryParkedStream', RetrySuccess),
    description:
      'Folds the events that wait in a parked stream, for operators. Refuses PRIVILEGE_NEEDED, PARKED_STREAM_UNKNOWN, and ' +
      'EVENT_NOT_FOLDED or EVENT_UNREADABLE when they still cannot be folded.',
    args: { input: t.arg({ type: RetryInput, required: true }) },
    resolve: async (_, { input: { projection, stream } }, context): Promise<Answer | Refusal> => {
      const refusal = refuseWithoutPrivilege('operator', context)
      if (refusal) return refusal
      try {
        const retried = await context.services.projections.retry(projection, stream)
        if (retried.outcome === 'folded') return { projection, stream, events: retried.events }
        const { code, message, revision } = retried
        return refuse(code === 'EVENT_UNREADABLE' ? code : 'EVENT_NOT_FOLDED', {
          projection,
          stream,
          revision: String(revision),
          error: message,
        })
      } catch (error) {
        if (error instanceof Failure && refusalCodes.includes(error.code)) return refuse(error.code, error.details)
        throw error
      }
    },
  }),
)
