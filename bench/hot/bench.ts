import { fillStreams } from '../fill.ts'
import { type Bench, type Entrant, figureOf, inRounds } from '../world.ts'

const longDefault = 100_000
const longQuick = 1_000
const short = 10
const commands = 200
const commandsQuick = 5

export const hot: Bench = {
  name: 'hot',
  about: 'commands on a stream of 100,000 events, one after the other; limit: the same on a stream of 10',
  run: async (world) => {
    const { server, quick, progress, rounds } = world
    const long = quick ? longQuick : longDefault
    progress(`hot: filling ${long} events`)
    const url = await server.createDatabase()
    // The long stream, and for each round a short one that is still short.
    const lengths = [long, ...Array.from({ length: rounds + 1 }, () => short)]
    await fillStreams(url, lengths)
    const count = quick ? commandsQuick : commands
    const entrants = (round: number): readonly Entrant[] => [
      { name: 'hot/long', parameters: { rental: 'r0', commands: count }, url },
      { name: 'hot/short', parameters: { rental: `r${round + 1}`, commands: count }, url },
    ]
    const [onLong, onShort] = await inRounds(world, entrants, 'hot')
    world.report({
      bench: 'hot, stream of 100k',
      callers: 1,
      unit: 'commands/s',
      better: 'more',
      ours: figureOf(onLong, 'commandsPerSecond'),
      limit: figureOf(onShort, 'commandsPerSecond'),
      targets: { limit: 0.8 },
    })
    world.report({
      bench: 'hot, the first command after a start',
      callers: 1,
      unit: 'ms',
      better: 'less',
      ours: figureOf(onLong, 'firstMs'),
      limit: figureOf(onShort, 'firstMs'),
      targets: {},
    })
    await server.dropDatabase(url)
  },
}
