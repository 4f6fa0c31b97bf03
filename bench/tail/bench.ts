import type { ContestantName } from '../contestants.ts'
import { orderOfRound, quantile } from '../statistics.ts'
import type { Outcome } from '../task.ts'
import type { Bench, World } from '../world.ts'

const perSecond = 500
/** Of each round; five of them make the twenty seconds. */
const secondsOfRound = 4
const eventsQuick = 100
/** The first events meet cold code and new connections. */
const warmUpShare = 0.1

type Path = { readonly append: ContestantName; readonly follow?: ContestantName }

const momentsOf = (outcome: Outcome, name: string): readonly number[] => {
  const moments = outcome[name]
  return Array.isArray(moments) ? moments : []
}

/** Milliseconds from asking for an append until the handler has the event; NaN where it never had it. */
const latenciesOf = (asked: readonly number[], received: readonly number[]): number[] =>
  asked.map((moment, n) => (received[n] ?? Number.NaN) - moment).slice(Math.floor(asked.length * warmUpShare))

const wasReceived = (latency: number): boolean => !Number.isNaN(latency)

const once = async (world: World, { append, follow }: Path, events: number, round: number): Promise<number[]> => {
  const url = await world.server.createDatabase()
  const parameters = { perSecond, events, round }
  if (follow === undefined) {
    const outcome = await world.process(append).run(url, { ...parameters, part: 'both' })
    await world.server.dropDatabase(url)
    return latenciesOf(momentsOf(outcome, 'asked'), momentsOf(outcome, 'received'))
  }
  const ready = Promise.withResolvers<void>()
  const following = world.process(follow).run(url, { ...parameters, part: 'follow' }, ready.resolve)
  await Promise.race([ready.promise, following])
  const [asked, received] = await Promise.all([
    world.process(append).run(url, { ...parameters, part: 'append' }),
    following,
  ])
  await world.server.dropDatabase(url)
  return latenciesOf(momentsOf(asked, 'asked'), momentsOf(received, 'received'))
}

export const tail: Bench = {
  name: 'tail',
  about:
    'from an append to the handler of a subscription, at 500 appends a second; limit: INSERT and NOTIFY, LISTEN and SELECT',
  run: async (world) => {
    const { quick, rounds, progress, signal } = world
    const events = quick ? eventsQuick : perSecond * secondsOfRound
    const paths: readonly Path[] = [
      { append: 'tail/ours', follow: 'tail/ours-follow' },
      { append: 'tail/ours' },
      { append: 'tail/limit', follow: 'tail/limit-follow' },
      ...(world.peer ? [{ append: 'tail/peer', follow: 'tail/peer-follow' } as const] : []),
    ]
    const latencies: number[][][] = paths.map(() => [])
    for (let round = quick ? 1 : 0; round <= rounds; round += 1) {
      progress(`tail: ${round === 0 ? 'warming up' : `round ${round} of ${rounds}`}`)
      for (const place of orderOfRound(round, paths.length)) {
        signal.throwIfAborted()
        const path = paths[place]
        if (path === undefined) continue
        const found = await once(world, path, events, round)
        const received = found.filter(wasReceived)
        const lost = found.length - received.length
        if (lost > 0 && path.append !== 'tail/peer') throw new Error(`${lost} events were not received`)
        if (lost > 0) progress(`tail: ${lost} of ${found.length} events never reached the handler of the peer`)
        if (round > 0) latencies[place]?.push(received)
      }
    }
    const at = (place: number, share: number) => latencies[place]?.map((found) => quantile(found, share))
    const shares = [
      { name: 'p50', share: 0.5, targets: { ours: 5 } },
      { name: 'p99', share: 0.99, targets: {} },
    ] as const
    for (const [place, where] of ['to another process', 'within one process'].entries())
      for (const { name, share, targets } of shares)
        world.report({
          bench: `tail ${name}, ${where}`,
          callers: null,
          unit: 'ms',
          better: 'less',
          ours: at(place, share) ?? [],
          limit: place === 0 ? at(2, share) : undefined,
          peer: place === 0 ? at(3, share) : undefined,
          targets,
        })
  },
}
