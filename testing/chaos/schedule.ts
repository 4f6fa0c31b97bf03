import { createRandom, pick, type Random } from '../random.ts'

/** What can be killed. Our own processes and the server die by SIGKILL; `connection` is the gentle one, SIGTERM to the
 *  server process of one connection, and cuts that connection alone. A killed `backend` (any child of the
 *  postmaster) makes the server restart all others and recover; a killed `postmaster` leaves all that to the next
 *  start. */
export const processKinds = ['appender', 'trader', 'worker', 'projector', 'tail'] as const
export type ProcessKind = (typeof processKinds)[number]
export type KillKind = ProcessKind | 'connection' | 'backend' | 'postmaster'
export const killKinds: readonly KillKind[] = [...processKinds, 'connection', 'backend', 'postmaster']

/** `choice`, from 0 to 1, picks one of several. */
export type Kill = { readonly atMs: number; readonly kind: KillKind; readonly choice: number }

const small: readonly KillKind[] = [
  ...(['appender', 'appender', 'appender', 'trader', 'trader', 'worker'] as const),
  ...(['projector', 'projector', 'projector', 'tail', 'connection', 'connection', 'connection'] as const),
]
const large: readonly KillKind[] = ['backend', 'postmaster']

function* every(random: Random, meanMs: number, kinds: readonly KillKind[], spread: () => number): Generator<Kill> {
  for (let atMs = 0; ; ) {
    atMs += meanMs * spread()
    yield { atMs, kind: pick(random, kinds), choice: random() }
  }
}

/** Yields the kills in the order of their time, without end. The same seed and pace yield the same ones. Processes and
 *  connections are killed at any moment, the server never twice within a short time. */
export function* killSchedule(pace: {
  readonly seed: number
  readonly killEveryMs: number
  readonly postgresEveryMs: number
}): Generator<Kill> {
  const [random, slow] = [createRandom(pace.seed), createRandom(pace.seed + 1)]
  const often = every(random, pace.killEveryMs, small, () => -Math.log(1 - random()))
  const seldom = every(slow, pace.postgresEveryMs, large, () => 0.5 + slow())
  const next = (kills: Generator<Kill>): Kill => kills.next().value as Kill
  let [a, b] = [next(often), next(seldom)]
  for (;;) {
    if (a.atMs <= b.atMs) {
      yield a
      a = next(often)
    } else {
      yield b
      b = next(seldom)
    }
  }
}
