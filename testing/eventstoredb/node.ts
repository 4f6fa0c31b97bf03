import { createSignal } from '../../infra/async/signal.ts'
import { sleep } from '../../infra/async/sleep.ts'
import type { Expected, LogRecord, Proposed, ServerLog } from './log.ts'

/** What a node is: the leader; one that resigns or shuts down; one that knows of no leader; or a follower or a read-only
 *  replica, which name the leader, the latter itself where it knows of none. */
export type State = 'leader' | 'resigning' | 'shutting down' | 'no leader' | { readonly port: number }

/** Why a node does not handle a request. */
export type Denial = 'busy' | 'not ready' | { readonly leaderPort: number }

export type Written =
  | { readonly outcome: 'written'; readonly last: LogRecord }
  | { readonly outcome: 'conflict'; readonly current: bigint }
  | { readonly outcome: 'deleted' }
  | { readonly outcome: 'timeout' }

export type Node = {
  readonly state: () => State
  /** Changes the state. Who is not the leader any more has cancelled all writes on their way: their answer is a time-out,
   *  and what was written of them is replicated all the same. */
  readonly become: (state: State) => void
  readonly denialOf: (request: { readonly write: boolean; readonly requiresLeader: boolean }) => Denial | undefined
  readonly write: (append: {
    readonly stream: string
    readonly expected: Expected
    readonly events: readonly Proposed[]
  }) => Promise<Written>
  /** Lets the followers be away for so long: what is written meanwhile waits for them (`back`), or is lost, because they
   *  have another leader by then. */
  readonly loseFollowers: (ms: number, outcome: 'back' | 'lost') => void
}

/** How many times the event loop runs until the followers have written. */
const replicationTurns = 3

/** Creates what decides on writes in a node, as the RequestManagementService and the StorageWriterService of the server
 *  do.
 *  @param commitMsMax how long a write waits for the followers. */
export const createNode = (log: () => ServerLog, commitMsMax: number): Node => {
  let state: State = 'leader'
  let away: Promise<'back' | 'lost'> | undefined
  const cancelling = createSignal()

  /** Resolves to whether the followers have written a record in time. */
  const isReplicated = async (record: LogRecord): Promise<boolean> => {
    const over = new AbortController()
    const cancelled = cancelling.wait({ ms: commitMsMax, signal: over.signal }).then(() => 'timeout' as const)
    for (let turn = 0; turn < replicationTurns; turn += 1) await new Promise(setImmediate)
    const outcome = await Promise.race([cancelled, away ?? 'back'])
    over.abort()
    return outcome === 'back' && log().replicate(record)
  }

  return {
    state: () => state,
    become: (next) => {
      if (state === 'leader' && next !== 'leader') {
        cancelling.notify()
        const { replicateAll } = log()
        setImmediate(replicateAll)
      }
      state = next
    },
    denialOf: ({ write, requiresLeader }) => {
      if (state === 'leader') return undefined
      if (state === 'resigning') return write ? 'not ready' : undefined
      if (state === 'shutting down') return 'not ready'
      if (state === 'no leader') return write || requiresLeader ? 'not ready' : undefined
      return requiresLeader ? { leaderPort: state.port } : undefined
    },
    write: async ({ stream, expected, events }) => {
      const ids = events.map(({ id }) => id)
      const verdict = log().check(stream, expected, ids)
      if (verdict.decision === 'wrong version') return { outcome: 'conflict', current: verdict.current }
      if (verdict.decision === 'idempotent') return { outcome: 'written', last: verdict.last }
      if (verdict.decision === 'deleted') return { outcome: 'deleted' }
      if (verdict.decision === 'not replicated yet') {
        // It is dropped, and its answer is the time-out.
        await cancelling.wait({ ms: commitMsMax })
        return { outcome: 'timeout' }
      }
      const last = log().write(stream, events)
      return (await isReplicated(last)) ? { outcome: 'written', last } : { outcome: 'timeout' }
    },
    loseFollowers: (ms, outcome) => {
      away ??= sleep(ms).then(() => {
        away = undefined
        if (outcome === 'back') log().replicateAll()
        else log().loseUnreplicated()
        return outcome
      })
    },
  }
}
