import type { FromParent } from './contestant.ts'
import type { ContestantName } from './contestants.ts'
import type { Contestant } from './processes.ts'
import type { Row } from './rows.ts'
import type { Server } from './server.ts'
import { orderOfRound } from './statistics.ts'
import type { Outcome } from './task.ts'

/** What every bench gets to work with. */
export type World = {
  readonly server: Server
  /** Starts a server that counts its statements, which costs each of them a little. */
  readonly countingServer: () => Promise<Server>
  readonly rounds: number
  readonly quick: boolean
  readonly peer: boolean
  /** Replaces the bench's own number of events. */
  readonly events: number | undefined
  /** The process of a contestant; the same one for the same name. */
  readonly process: (name: ContestantName) => Contestant
  readonly report: (row: Row) => void
  readonly progress: (line: string) => void
  readonly signal: AbortSignal
}

export type Bench = {
  readonly name: string
  /** One line: what is measured, against what. */
  readonly about: string
  readonly run: (world: World) => Promise<void>
}

export type Entrant = {
  readonly name: ContestantName
  readonly parameters: FromParent['parameters']
  /** The database where it works; left out, it gets an empty one in each round. */
  readonly url?: string | undefined
}

/** Runs all of them in each round, in an order that rotates, after one round that does not count. Resolves to the
 *  outcomes of each, in the order of `asked`. Pass a function where the entrants differ from round to round. */
export const inRounds = async (
  world: World,
  asked: readonly Entrant[] | ((round: number) => readonly Entrant[]),
  what: string,
): Promise<Outcome[][]> => {
  const { server, rounds, quick, progress, signal } = world
  const outcomes: Outcome[][] = []
  for (let round = quick ? 1 : 0; round <= rounds; round += 1) {
    progress(`${what}: ${round === 0 ? 'warming up' : `round ${round} of ${rounds}`}`)
    const entrants = typeof asked === 'function' ? asked(round) : asked
    for (const place of orderOfRound(round, entrants.length)) {
      signal.throwIfAborted()
      const entrant = entrants[place]
      if (entrant === undefined) continue
      const url = entrant.url ?? (await server.createDatabase())
      const outcome = await world.process(entrant.name).run(url, { ...entrant.parameters, round })
      if (entrant.url === undefined) await server.dropDatabase(url)
      if (round > 0) outcomes[place] = [...(outcomes[place] ?? []), outcome]
    }
  }
  return outcomes
}

/** Returns the figure of that name of each round. */
export const figureOf = (outcomes: readonly Outcome[] | undefined, name: string): readonly number[] =>
  (outcomes ?? []).map((outcome) => Number(outcome[name]))
