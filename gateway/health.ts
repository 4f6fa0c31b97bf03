import { isFailure } from '../domain/errors.ts'
import { createSnapshot } from '../infra/async/snapshot.ts'
import type { CustodyReport } from '../infra/chain/port.ts'
import type { ParkedTasks } from '../infra/parked-tasks/port.ts'
import type { ParkedStream } from '../projections/engine/parked-streams.ts'
import type { Projections } from '../projections/engine/start.ts'
import type { ProjectionStatus, ProjectionsStatus } from '../projections/engine/status.ts'

/** How many parked streams of one read model the page lists. */
const parkedStreamsMax = 10
/** The database is asked at most once in this time, however often a client asks. */
const snapshotMsMax = 1_000
/** How long a client waits for what a database is asked that has stopped answering. */
const answerMsMax = 3_000

/** Whether the platform can serve requests. Each of `parts` is `up`, or a text with what is wrong. */
export type Readiness = { readonly ready: boolean; readonly parts: Readonly<Record<string, string>> }

/** What /status answers with, as JSON. All keys are always there; an absent value is null. */
export type StatusPage = Readiness & {
  /** When it was read. */
  readonly time: string
  readonly roles: readonly string[]
  /** The last position of the log. */
  readonly head: string | null
  readonly projections: readonly object[]
  /** How many timers and handlers have failed for good, by name. */
  readonly parkedTasks: Readonly<Record<string, number>> | null
  /** What the contract owned and what the ledger said at the last comparison, in minor units. */
  readonly custody: Readonly<Record<string, string>> | null
}

export type Health = {
  /** Resolves to whether the platform is ready, for /ready. Never throws. */
  ready(): Promise<Readiness>
  /** Resolves to the readiness and the state of all read models, for /status. Never throws.
   *  @param details true for operators: names of streams and texts of errors, not only counts and codes. */
  status(details: boolean): Promise<StatusPage>
}

type Snapshot = {
  readonly status: ProjectionsStatus | undefined
  readonly readiness: Readiness
  readonly tasks: StatusPage['parkedTasks']
  readonly held: StatusPage['custody']
  readonly time: string
}

/** Creates the health checks. Ready means: the database answers and its disk is not full, the log is the one that was opened, and this version of the program keeps every read model
 *  up to date. A parked stream is listed, but the platform stays ready. Answers are at most a second old, and come
 *  after three seconds at the latest.
 *  @param isUp resolves to whether the database answers.
 *  @param isFull returns whether its disk is full, so that it stores nothing.
 *  @param hasLogServer true when the log is not in the database, but on a server of its own: it is then a part of its own. */
export const createHealth = ({
  projections,
  parkedTasks,
  custody = async () => undefined,
  isUp,
  isFull = () => false,
  hasLogServer = false,
  roles,
  now,
  ageMs = snapshotMsMax,
  waitMs = answerMsMax,
}: {
  readonly projections: Pick<Projections, 'status'>
  readonly parkedTasks: Pick<ParkedTasks, 'counts'>
  readonly custody?: () => Promise<CustodyReport | undefined>
  readonly isUp: () => Promise<boolean>
  readonly isFull?: () => boolean
  readonly hasLogServer?: boolean
  readonly roles: readonly string[]
  readonly now: () => string
  readonly ageMs?: number
  readonly waitMs?: number
}): Health => {
  /** Whether the database has answered, and the log is asked. */
  let isDatabaseUp = false
  const read = async (): Promise<Snapshot> => {
    isDatabaseUp = false
    isDatabaseUp = await isUp()
    const reading = isDatabaseUp ? await projections.status().catch((error: unknown) => ({ error })) : undefined
    const status = reading && 'error' in reading ? undefined : reading
    const isReplaced = reading !== undefined && 'error' in reading && isFailure(reading.error, 'LOG_REPLACED')
    const readiness: Readiness = status
      ? {
          ready: !isFull() && status.projections.every(({ state }) => state === 'running'),
          parts: {
            database: isFull() ? 'DATABASE_FULL' : 'up',
            ...(hasLogServer && { log: 'up' }),
            projections: summaryOf(status.projections),
          },
        }
      : isReplaced
        ? { ready: false, parts: { database: 'up', log: 'LOG_REPLACED', projections: 'unknown' } }
        : awayAs('down')
    isDatabaseUp = false
    const tasks = status ? await parkedTasks.counts().catch(() => null) : null
    const held = status ? await custody().then(custodyEntryOf, () => null) : null
    return { status, readiness, tasks, held, time: now() }
  }
  // What is away is the log's server where the database has just answered.
  const awayAs = (word: string): Readiness => {
    const database = hasLogServer && isDatabaseUp ? 'up' : word
    const log = isDatabaseUp ? word : 'unknown'
    return { ready: false, parts: { database, ...(hasLogServer && { log }), projections: 'unknown' } }
  }
  const late = (): Snapshot => ({
    status: undefined,
    readiness: awayAs('no answer'),
    tasks: null,
    held: null,
    time: now(),
  })
  const snapshot = createSnapshot(read, ageMs, { msMax: waitMs, value: late })
  return {
    ready: async () => (await snapshot()).readiness,
    status: async (details) => {
      const { status, readiness, tasks, held, time } = await snapshot()
      const models = status?.projections ?? []
      return {
        ...readiness,
        time,
        roles,
        head: status?.head ?? null,
        projections: models.map((model) => projectionEntryOf(model, details)),
        parkedTasks: tasks,
        custody: held,
      }
    },
  }
}

/** Returns `up`, or the read models that are not running; then the number of parked streams. */
const summaryOf = (projections: readonly ProjectionStatus[]): string => {
  const unready = projections.flatMap(({ name, state, building }) =>
    state === 'running' ? [] : [`${name} ${state}${state === 'building' && building ? ` ${building.percent} %` : ''}`],
  )
  const streams = projections.reduce((sum, { parked }) => sum + parked.streams, 0)
  const parked = streams === 0 ? [] : [`${streams} ${streams === 1 ? 'stream' : 'streams'} parked`]
  if (unready.length > 0) return [...unready, ...parked].join(', ')
  return ['up', ...parked].join(', ')
}

/** Returns a read model as /status shows it. */
const projectionEntryOf = (
  { name, version, state, served, building, failure, parked }: ProjectionStatus,
  details: boolean,
) => ({
  name,
  version,
  state,
  served: served ?? null,
  building: building ?? null,
  failure: failure ? { ...failure, message: details ? failure.message : null } : null,
  parked: {
    streams: parked.streams,
    first: details ? parked.first.slice(0, parkedStreamsMax).map(parkedEntryOf) : [],
  },
})

/** Returns a parked stream as /status shows it. */
const parkedEntryOf = ({ stream, revision, position, type, code, message, held, since }: ParkedStream) => ({
  stream,
  revision: String(revision),
  position,
  type,
  code,
  message,
  held: String(held),
  since,
})

/** Returns the comparison of custody as /status shows it: what is missing is an alarm, and what is unaccounted was sent
 *  to the contract without a deposit, or waits for a read model. */
const custodyEntryOf = (report: CustodyReport | undefined): StatusPage['custody'] => {
  if (report === undefined) return null
  const { contract, ledger, block, checkedAt } = report
  const [missing, unaccounted] = contract < ledger ? [ledger - contract, 0n] : [0n, contract - ledger]
  return {
    contract: String(contract),
    ledger: String(ledger),
    missing: String(missing),
    unaccounted: String(unaccounted),
    block: String(block),
    checkedAt,
  }
}
