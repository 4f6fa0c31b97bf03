import type { ParkedStream } from '../projections/engine/parked-streams.ts'
import type { Projections } from '../projections/engine/start.ts'
import type { ProjectionStatus } from '../projections/engine/status.ts'

/** Of each read model, so many parked streams are named on the page. */
const parkedMax = 10

/** `parts` says `up` of what is well, and else what is not. */
export type Readiness = { readonly ready: boolean; readonly parts: Readonly<Record<string, string>> }

/** What /status shows, as JSON with keys that stay: what is not there is null. */
export type StatusPage = Readiness & {
  readonly time: string
  readonly roles: readonly string[]
  /** The last position of the log. */
  readonly head: string | null
  readonly projections: readonly object[]
}

export type Health = {
  ready(): Promise<Readiness>
  status(): Promise<StatusPage>
}

/** Tells how the platform stands. Ready: the database answers, and every read model is kept up to date by this version of the
 *  program; a parked stream does not change that, and is said. Never throws.
 *  @param isUp whether the database answers. */
export const createHealth = ({
  projections,
  isUp,
  roles,
  now,
}: {
  readonly projections: Pick<Projections, 'status'>
  readonly isUp: () => Promise<boolean>
  readonly roles: readonly string[]
  readonly now: () => string
}): Health => {
  const check = async () => {
    const status = (await isUp()) ? await projections.status().catch(() => undefined) : undefined
    const readiness: Readiness = status
      ? {
          ready: status.projections.every(({ state }) => state === 'running'),
          parts: { database: 'up', projections: summaryOf(status.projections) },
        }
      : { ready: false, parts: { database: 'down', projections: 'unknown' } }
    return { status, readiness }
  }
  return {
    ready: async () => (await check()).readiness,
    status: async () => {
      const { status, readiness } = await check()
      const models = status?.projections ?? []
      return { ...readiness, time: now(), roles, head: status?.head ?? null, projections: models.map(projectionEntryOf) }
    },
  }
}

const summaryOf = (projections: readonly ProjectionStatus[]): string => {
  const unready = projections.flatMap(({ name, state, building }) =>
    state === 'running' ? [] : [`${name} ${state}${state === 'building' && building ? ` ${building.percent} %` : ''}`],
  )
  const streams = projections.reduce((sum, { parked }) => sum + parked.streams, 0)
  const parked = streams === 0 ? [] : [`${streams} ${streams === 1 ? 'stream' : 'streams'} parked`]
  if (unready.length > 0) return [...unready, ...parked].join(', ')
  return ['up', ...parked].join(', ')
}

const projectionEntryOf = ({ name, version, state, served, building, failure, parked }: ProjectionStatus) => ({
  name,
  version,
  state,
  served: served ?? null,
  building: building ?? null,
  failure: failure ?? null,
  parked: { streams: parked.streams, first: parked.first.slice(0, parkedMax).map(parkedEntryOf) },
})

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
