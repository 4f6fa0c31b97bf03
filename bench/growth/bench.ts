import { fillLog } from '../fill.ts'
import { type Bench, type Entrant, figureOf, inRounds } from '../world.ts'

const small = 10_000
const largeDefault = 10_000_000
const quickSizes = { small: 1_000, large: 3_000 }
const length = 100
const callers = 64
/** Of the table, its indexes, and what the server writes ahead. */
const bytesPerEvent = 1_500

const inWords = (events: number): string => events.toLocaleString('en-US')

export const growth: Bench = {
  name: 'growth',
  about: 'the append rate of 64 callers in a log of 10,000,000 events; limit: the same in a log of 10,000',
  run: async (world) => {
    const { server, quick, progress } = world
    const sizes = quick ? quickSizes : { small, large: world.events ?? largeDefault }
    await server.needBytes(sizes.large * bytesPerEvent)
    const urls: string[] = []
    for (const events of [sizes.large, sizes.small]) {
      progress(`growth: filling ${inWords(events)} events`)
      const url = await server.createDatabase()
      await fillLog(url, events, length)
      urls.push(url)
    }
    const times = quick ? { warmUpMs: 20, measureMs: 100 } : { warmUpMs: 500, measureMs: 3_000 }
    const parameters = { callers, eventsPerAppend: 1, ...times }
    const entrants: readonly Entrant[] = [
      { name: 'growth/large', parameters, url: urls[0] },
      { name: 'growth/small', parameters, url: urls[1] },
    ]
    const [large, little] = await inRounds(world, entrants, 'growth')
    world.report({
      bench: `growth, append at ${inWords(sizes.large)} events`,
      callers,
      unit: 'events/s',
      better: 'more',
      ours: figureOf(large, 'eventsPerSecond'),
      limit: figureOf(little, 'eventsPerSecond'),
      targets: { limit: 0.85 },
    })
    for (const url of urls) await server.dropDatabase(url)
  },
}
