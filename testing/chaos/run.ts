import { setTimeout as delay } from 'node:timers/promises'
import { sleep } from '../../infra/async/sleep.ts'
import { allProjections } from '../../projections/all.ts'
import { readCheckpoints } from '../../projections/engine/checkpoints.ts'
import { type Fleet, type Member, startFleet } from './fleet.ts'
import { createLagWatch } from './lag.ts'
import { connectionsAmong, serverProcesses } from './postgres-processes.ts'
import { createComplaints, type Proof } from './proof.ts'
import type { AppendCounts } from './proof-appends.ts'
import { type Proven, prove } from './prove.ts'
import { lastReceived, receivedFile } from './received.ts'
import { comeToRest } from './rest.ts'
import { type Kill, type KillKind, killKinds, killSchedule } from './schedule.ts'
import { createFolders, openWorld, type World } from './world.ts'

const progressMs = 1_000
const awayMs = 1_000

export type ChaosOptions = {
  readonly minutes: number
  readonly seed: number
  /** On average; of PostgreSQL, between half and one and a half of it. */
  readonly killEverySeconds: number
  readonly postgresEverySeconds: number
  /** Of all appenders together, and of all traders together, about. */
  readonly appendsPerSecond: number
  readonly rentalsPerSecond: number
}

export type Kills = Record<KillKind, number>

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

/** Runs appenders, traders, workers, projectors and tails on a separate PostgreSQL, kills them and it for some minutes
 *  (or until the signal aborts), lets all work finish, and proves. Leaves nothing behind; the folder stays when a proof
 *  fails. */
export const runChaos = async (
  options: ChaosOptions,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Verdict> => {
  const folders = await createFolders()
  const members = membersOf(options)
  const tails = namesOf(members, 'tail')
  const kills = Object.fromEntries(killKinds.map((kind) => [kind, 0])) as Kills
  const trouble = createComplaints()
  const clock = { begun: performance.now(), killed: 0, rested: 0, proved: 0 }
  const since = (from: number) => (performance.now() - from) / 1_000
  let world: World | undefined
  let fleet: Fleet | undefined
  let proven: Proven | undefined
  try {
    world = await openWorld(folders)
    fleet = startFleet({
      members,
      url: world.server.url,
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
    rentals: proven?.rentals ?? {},
    events: proven?.events ?? 0,
    streams: proven?.streams ?? 0,
    appends: proven?.counts,
    proofs,
    folder: ok ? undefined : folders.root,
  }
}

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
    postgresEveryMs: options.postgresEverySeconds * 1_000,
  })
  for (const kill of schedule) {
    const waitMs = Math.max(0, kill.atMs - (performance.now() - begun))
    await sleep(waitMs, over)
    if (over.aborted) break
    if (await strike(kill, world, fleet)) kills[kill.kind] += 1
  }
  await reporting
}

/** Kills. Resolves to false when there was nothing to kill. */
const strike = async ({ kind, choice }: Kill, { server, log }: World, fleet: Fleet): Promise<boolean> => {
  if (kind !== 'connection' && kind !== 'backend' && kind !== 'postmaster') return fleet.kill(kind, choice)
  const postmaster = server.pid()
  if (postmaster === undefined) return false
  const children = kind === 'postmaster' ? [] : await serverProcesses(postmaster)
  const candidates = kind === 'connection' ? connectionsAmong(children) : children
  const victim =
    kind === 'postmaster'
      ? { pid: postmaster, title: 'postmaster' }
      : candidates[Math.floor(choice * candidates.length)]
  if (!victim) return false
  log.info({ kind, victim }, 'killing')
  try {
    process.kill(victim.pid, kind === 'connection' ? 'SIGTERM' : 'SIGKILL')
    return true
  } catch {
    return false // it ended in between
  }
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
