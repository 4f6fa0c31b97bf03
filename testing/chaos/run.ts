import { setTimeout as delay } from 'node:timers/promises'
import type { ServerNode } from '../../bench/eventstoredb/nodes.ts'
import { sleep } from '../../infra/async/sleep.ts'
import { allProjections } from '../../projections/all.ts'
import { readCheckpoints } from '../../projections/engine/checkpoints.ts'
import { type Fleet, type Member, startFleet } from './fleet.ts'
import { createLagWatch } from './lag.ts'
import type { Nodes } from './nodes.ts'
import { createComplaints, type Proof } from './proof.ts'
import type { AppendCounts } from './proof-appends.ts'
import { type Proven, prove } from './prove.ts'
import { lastReceived, receivedFile } from './received.ts'
import { comeToRest } from './rest.ts'
import { type KillKind, type KillKinds, killSchedule } from './schedule.ts'
import { strike } from './strike.ts'
import { createFolders, openWorld, type World } from './world.ts'

const progressMs = 1_000
const awayMs = 1_000

export type ChaosOptions = {
  readonly minutes: number
  readonly seed: number
  /** On average; of servers, between half and one and a half of it. */
  readonly killEverySeconds: number
  readonly serverEverySeconds: number
  readonly kinds: KillKinds
  /** The nodes of an EventStoreDB for the log; none for a log in PostgreSQL. */
  readonly nodes: readonly ServerNode[]
  /** Of all appenders together, and of all traders together, about. */
  readonly appendsPerSecond: number
  readonly rentalsPerSecond: number
}

export type Kills = Partial<Record<KillKind, number>>

export type Progress =
  | {
      readonly phase: 'killing'
      readonly folder: string
      readonly seconds: number
      readonly events: number
      readonly kills: Kills
      /** How long ago the log was where the tail, and the slowest projection, are now; undefined while the database is
       *  away. */
      readonly lagSeconds: { readonly tail: number; readonly projections: number } | undefined
    }
  | { readonly phase: 'coming to rest' }
  | { readonly phase: 'proving'; readonly events: number }

export type Verdict = {
  readonly ok: boolean
  readonly seed: number
  /** The time of the kills, and the time that it then took to finish and to prove. */
  readonly seconds: number
  readonly restSeconds: number
  readonly proveSeconds: number
  readonly kills: Kills
  readonly restarts: number
  /** What the event store was, when it was not in PostgreSQL. */
  readonly nodes:
    | { readonly count: number; readonly version: string; readonly starts: number; readonly endedThemselves: number }
    | undefined
  readonly rentals: Readonly<Record<string, number>>
  readonly events: number
  readonly streams: number
  readonly appends: AppendCounts | undefined
  readonly proofs: readonly Proof[]
  /** The folder that is kept for inspection when something does not hold. */
  readonly folder: string | undefined
}

const membersOf = ({ appendsPerSecond, rentalsPerSecond }: ChaosOptions): readonly Member[] => {
  const some = (kind: Member['kind'], count: number, perSecond = 0) =>
    Array.from({ length: count }, (_, index) => ({ kind, name: `${kind}-${index + 1}`, perSecond: perSecond / count }))
  return [
    ...some('appender', 3, appendsPerSecond),
    ...some('trader', 2, rentalsPerSecond),
    ...some('worker', 2),
    ...some('projector', 2),
    ...some('tail', 1),
    { kind: 'tail', name: 'tail-spared', perSecond: 0, spared: true },
  ]
}
const namesOf = (members: readonly Member[], ...kinds: readonly Member['kind'][]) =>
  members.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => name)

/** Runs appenders, traders, workers, projectors and tails on a separate PostgreSQL, and on the nodes of an EventStoreDB
 *  if there are some; kills them and those for some minutes (or until the signal aborts), lets all work finish, and
 *  proves. Leaves nothing behind; the folder stays when a proof
 *  fails. */
export const runChaos = async (
  options: ChaosOptions,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Verdict> => {
  const folders = await createFolders()
  const members = membersOf(options)
  const tails = namesOf(members, 'tail')
  const { small, large } = options.kinds
  const kills: Kills = Object.fromEntries([...small, ...large].map((kind) => [kind, 0]))
  const trouble = createComplaints()
  const clock = { begun: performance.now(), killed: 0, rested: 0, proved: 0 }
  const since = (from: number) => (performance.now() - from) / 1_000
  let world: World | undefined
  let fleet: Fleet | undefined
  let proven: Proven | undefined
  try {
    world = await openWorld(folders, { nodes: options.nodes, cutConnections: small.includes('store connection') })
    fleet = startFleet({
      members,
      url: world.server.url,
      eventStoreUrl: world.nodes?.url,
      proxyUrl: world.relay?.url,
      folder: folders.journals,
      logs: folders.logs,
      seed: options.seed,
    })
    clock.begun = performance.now()
    await killForAWhile(options, world, fleet, kills, signal, onProgress)
    clock.killed = since(clock.begun)
    const stopped = performance.now()
    onProgress({ phase: 'coming to rest' })
    await comeToRest(world, fleet, tails).catch((error: unknown) => trouble.add(sentenceOf(error)))
    await fleet.end()
    clock.rested = since(stopped)
    const resting = performance.now()
    proven = await prove({
      world,
      writers: namesOf(members, 'appender', 'trader', 'worker'),
      tails,
      onEvents: (events) => onProgress({ phase: 'proving', events }),
    })
    clock.proved = since(resting)
  } catch (error) {
    trouble.add(sentenceOf(error))
  } finally {
    await fleet?.end()
    await world?.close().catch((error: unknown) => trouble.add(sentenceOf(error)))
  }
  for (const sentence of fleet?.unexpectedExits ?? []) trouble.add(sentence)
  const proofs: Proof[] = [
    ...(proven?.proofs ?? []),
    {
      name: 'nothing ends by itself, all work finishes',
      looked: `${members.length} processes, ${fleet?.restarts() ?? 0} restarts`,
      complaints: trouble.list(),
    },
  ]
  const ok = proven !== undefined && proofs.every(({ complaints }) => complaints.length === 0)
  if (ok) await folders.remove()
  return {
    ok,
    seed: options.seed,
    seconds: clock.killed,
    restSeconds: clock.rested,
    proveSeconds: clock.proved,
    kills,
    restarts: fleet?.restarts() ?? 0,
    nodes: world?.nodes && nodesOf(world.nodes),
    rentals: proven?.rentals ?? {},
    events: proven?.events ?? 0,
    streams: proven?.streams ?? 0,
    appends: proven?.counts,
    proofs,
    folder: ok ? undefined : folders.root,
  }
}

const nodesOf = ({ count, version, starts, endedThemselves }: Nodes) => ({
  count,
  version: version(),
  starts: starts(),
  endedThemselves: endedThemselves(),
})

const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const killForAWhile = async (
  options: ChaosOptions,
  world: World,
  fleet: Fleet,
  kills: Kills,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<void> => {
  const begun = performance.now()
  const over = AbortSignal.any([signal, AbortSignal.timeout(options.minutes * 60_000)])
  const reporting = report(world, fleet, kills, begun, over, onProgress)
  const schedule = killSchedule({
    seed: options.seed,
    killEveryMs: options.killEverySeconds * 1_000,
    serverEveryMs: options.serverEverySeconds * 1_000,
    kinds: options.kinds,
  })
  for (const kill of schedule) {
    const waitMs = Math.max(0, kill.atMs - (performance.now() - begun))
    await sleep(waitMs, over)
    if (over.aborted) break
    if (await strike(kill, { world, fleet })) kills[kill.kind] = (kills[kill.kind] ?? 0) + 1
  }
  await reporting
}

const report = async (
  { store, database, folders }: World,
  fleet: Fleet,
  kills: Kills,
  begun: number,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<void> => {
  const lag = createLagWatch()
  const spared = receivedFile(folders.journals, 'tail-spared')
  const projected = async () => {
    const found = await readCheckpoints(
      database.query,
      allProjections.map(({ name }) => name),
    )
    return found.length < allProjections.length ? '' : (found.map(({ position }) => position).sort()[0] ?? '')
  }
  while (!signal.aborted) {
    await sleep(progressMs, signal)
    const seconds = (performance.now() - begun) / 1_000
    const asked = Promise.all([store.head(), projected()]).catch(() => undefined)
    // A read is retried for seconds while the database is away, which is worth showing at once.
    const known = await Promise.race([asked, delay(awayMs, undefined, { ref: false })])
    const seen = lastReceived(spared)?.split(' ')[0] ?? ''
    if (known) lag.headWas(known[0], seconds)
    const lagSeconds = known && { tail: lag.behind(seen, seconds), projections: lag.behind(known[1], seconds) }
    const events = fleet.sum('appender', 'events') + fleet.sum('trader', 'events')
    onProgress({ phase: 'killing', folder: folders.root, seconds, events, kills: { ...kills }, lagSeconds })
  }
}
