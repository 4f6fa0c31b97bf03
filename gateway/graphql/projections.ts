import { Failure, type Refusal, refuse } from '../../domain/errors.ts'
import type { ParkedStream } from '../../projections/engine/parked-streams.ts'
import type { ProjectionStatus } from '../../projections/engine/status.ts'
import { refuseWithoutPrivilege, requireAnalyst } from '../auth/privilege.ts'
import { builder } from './builder.ts'
import { payloadOf } from './payloads.ts'

// The state of the read models

const ProjectionState = builder.enumType('ProjectionState', {
  values: {
    STARTING: { value: 'starting', description: 'Nobody has begun with it yet.' },
    BUILDING: { value: 'building', description: 'This version is being built beside the one that is read.' },
    RUNNING: { value: 'running', description: 'It is kept up to date.' },
    WAITING: { value: 'waiting', description: 'It has met a failure and tries again.' },
    SUPERSEDED: { value: 'superseded', description: 'A newer version than that of this program is there.' },
  } as const,
})

const Progress = builder.objectRef<NonNullable<ProjectionStatus['building']>>('ProjectionProgress').implement({
  description: 'How far a version is that is being built.',
  fields: (t) => ({
    version: t.exposeInt('version'),
    position: t.field({ type: 'Position', resolve: ({ position }) => position }),
    percent: t.exposeFloat('percent'),
    perSecond: t.exposeFloat('perSecond', {
      nullable: true,
      description: 'In what the log counts by: events, or bytes of a log that is not in PostgreSQL.',
    }),
    secondsLeft: t.exposeFloat('secondsLeft', { nullable: true, description: 'Null while nobody knows.' }),
  }),
})

const Parked = builder.objectRef<ParkedStream>('ParkedStream').implement({
  description: 'A stream that a read model cannot fold any further. Its rows stay as they were before.',
  fields: (t) => ({
    stream: t.exposeString('stream'),
    revision: t.string({
      description: 'Of the event that could not be folded, as decimal text.',
      resolve: ({ revision }) => String(revision),
    }),
    position: t.field({ type: 'Position', description: 'Of that event.', resolve: ({ position }) => position }),
    type: t.exposeString('type', { description: 'Of that event.' }),
    code: t.exposeString('code'),
    error: t.exposeString('message'),
    held: t.string({
      description: 'How many events of the stream wait behind it, as decimal text.',
      resolve: ({ held }) => String(held),
    }),
    since: t.expose('since', { type: 'DateTime' }),
  }),
})

const ProjectionType = builder.objectRef<ProjectionStatus>('Projection').implement({
  description: 'A read model: what queries read, folded from the log.',
  fields: (t) => ({
    name: t.exposeString('name'),
    version: t.exposeInt('version', { description: 'Of this program.' }),
    state: t.field({ type: ProjectionState, resolve: ({ state }) => state }),
    servedVersion: t.int({
      nullable: true,
      description: 'What queries see; null before it was built for the first time.',
      resolve: ({ served }) => served?.version,
    }),
    position: t.field({
      type: 'Position',
      nullable: true,
      description: 'How far what queries see reflects the log.',
      resolve: ({ served }) => served?.position,
    }),
    lag: t.float({
      nullable: true,
      description: 'What is missing to the end of the log, in what the log counts by.',
      resolve: ({ served }) => served?.lag,
    }),
    progress: t.field({ type: Progress, nullable: true, resolve: ({ building }) => building }),
    failure: t.string({
      nullable: true,
      description: 'Why it waits.',
      resolve: ({ failure }) => failure && `${failure.code}: ${failure.message}`,
    }),
    parkedStreams: t.int({ description: 'How many streams are parked.', resolve: ({ parked }) => parked.streams }),
    parked: t.field({
      type: [Parked],
      description: 'The first 100 of them, by name.',
      resolve: ({ parked }) => parked.first,
    }),
  }),
})

builder.queryField('projections', (t) =>
  t.field({
    type: [ProjectionType],
    description: 'How the read models stand, for operators and analysts. Fails with PRIVILEGE_NEEDED.',
    resolve: async (_, _arguments, context) => {
      requireAnalyst(context)
      return (await context.services.projections.status()).projections
    },
  }),
)

// Retry

type Answer = { readonly projection: string; readonly stream: string; readonly events: number }

const RetrySuccess = builder.objectRef<Answer>('RetryParkedStreamSuccess')
RetrySuccess.implement({
  description: 'The stream goes on.',
  fields: (t) => ({
    projection: t.exposeString('projection'),
    stream: t.exposeString('stream'),
    events: t.exposeInt('events', { description: 'How many had waited and are folded now.' }),
  }),
})

const RetryInput = builder.inputType('RetryParkedStreamInput', {
  fields: (t) => ({ projection: t.string({ required: true }), stream: t.string({ required: true }) }),
})

const refusalCodes = ['PARKED_STREAM_UNKNOWN', 'DATABASE_SCHEMA_NEWER']

builder.mutationField('retryParkedStream', (t) =>
  t.field({
    type: payloadOf('RetryParkedStream', RetrySuccess),
    description:
      'Folds what a parked stream holds back, for operators. Refuses PRIVILEGE_NEEDED, PARKED_STREAM_UNKNOWN, and ' +
      'EVENT_NOT_FOLDED or EVENT_UNREADABLE when it still cannot be folded.',
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
