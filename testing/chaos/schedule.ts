import { createRandom, pick, type Random } from '../random.ts'

/** What can be killed. Our own processes and the servers die by SIGKILL; `connection` is the gentle one, SIGTERM to the
 *  server process of one connection to PostgreSQL, and cuts that connection alone. A killed `backend` (any child of the
 *  postmaster) makes the server restart all others and recover; a killed `postmaster` leaves all that to the next
 *  start. The others are of a run with EventStoreDB: `store connection` cuts one or all of the connections to its
 *  nodes. */
export const processKinds = ['appender', 'trader', 'worker', 'projector', 'tail'] as const
export type ProcessKind = (typeof processKinds)[number]
export type NodeKind = 'leader' | 'follower' | 'node'
export type KillKind =
  | ProcessKind
  | NodeKind
  | 'connection'
  | 'store connection'
  | 'backend'
  | 'postmaster'
  | 'node and process'
  | 'node and postmaster'

/** `choice`, from 0 to 1, picks one of several. */
export type Kill = { readonly atMs: number; readonly kind: KillKind; readonly choice: number }

/** What a run may kill, as one asks for it. `both` are a node together with one of our processes or with
 *  PostgreSQL. */
export const targets = ['processes', 'connections', 'postgres', 'leader', 'follower', 'node', 'both'] as const
export type Target = (typeof targets)[number]

/** The kinds of kills, the more likely ones more than once: the `small` come often, of the `large` never two within a
 *  short time. */
export type KillKinds = { readonly small: readonly KillKind[]; readonly large: readonly KillKind[] }

type Row = readonly [Target, ...KillKind[]]
const small: readonly Row[] = [
  ['processes', 'appender', 'appender', 'appender', 'trader', 'trader', 'worker'],
  ['processes', 'projector', 'projector', 'projector', 'tail'],
  ['connections', 'connection', 'connection', 'connection', 'store connection', 'store connection'],
]
const large: readonly Row[] = [
  ['postgres', 'backend', 'postmaster'],
  ['leader', 'leader'],
  ['follower', 'follower'],
  ['node', 'node'],
  ['both', 'node and process', 'node and postmaster'],
]

const needsNodes = (target: Target) => ['leader', 'follower', 'node', 'both'].includes(target)

/** Returns the kinds of kills of these targets, of all when none is named, on PostgreSQL alone or with so many nodes of
 *  EventStoreDB. Throws an error whose message is for people when a target is not there. */
export const kindsOf = (asked: readonly Target[], nodes: number): KillKinds => {
  const missing = asked.find((target) => nodes === 0 && needsNodes(target))
  if (missing !== undefined) throw new Error(`--kill ${missing} needs --eventstore FILE`)
  if (nodes === 1 && asked.includes('follower')) throw new Error('--kill follower needs a cluster')
  const isMeant = (target: Target) =>
    asked.length > 0
      ? asked.includes(target)
      : nodes > 1 || (nodes === 1 ? target !== 'leader' && target !== 'follower' : !needsNodes(target))
  const isThere = (kind: KillKind) => nodes > 0 || kind !== 'store connection'
  const those = (rows: readonly Row[]) =>
    rows.flatMap(([target, ...kinds]) => (isMeant(target) ? kinds : [])).filter(isThere)
  return { small: those(small), large: those(large) }
}

function* every(random: Random, meanMs: number, kinds: readonly KillKind[], spread: () => number): Generator<Kill> {
  for (let atMs = 0; kinds.length > 0; ) {
    atMs += meanMs * spread()
    yield { atMs, kind: pick(random, kinds), choice: random() }
  }
}

/** Yields the kills in the order of their time, without end. The same seed, pace and kinds yield the same ones. Processes
 *  and connections are killed at any moment, the servers never twice within a short time. */
export function* killSchedule(pace: {
  readonly seed: number
  readonly killEveryMs: number
  readonly serverEveryMs: number
  readonly kinds: KillKinds
}): Generator<Kill> {
  const [random, slow] = [createRandom(pace.seed), createRandom(pace.seed + 1)]
  const often = every(random, pace.killEveryMs, pace.kinds.small, () => -Math.log(1 - random()))
  const seldom = every(slow, pace.serverEveryMs, pace.kinds.large, () => 0.5 + slow())
  const next = (kills: Generator<Kill>): Kill | undefined => kills.next().value as Kill | undefined
  let [a, b] = [next(often), next(seldom)]
  while (a ?? b) {
    if (a && (!b || a.atMs <= b.atMs)) {
      yield a
      a = next(often)
    } else if (b) {
      yield b
      b = next(seldom)
    }
  }
}
