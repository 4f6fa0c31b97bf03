import { fillLog, fillPeerLog } from '../fill.ts'
import { preparePeer } from '../peer-log.ts'
import { type Bench, type Entrant, figureOf, inRounds } from '../world.ts'

const eventsDefault = 200_000
const eventsQuick = 6_000
const length = 100
const batchSize = 5_000
/** Enough for seconds; with fewer events in its log it is rather faster. */
const peerEvents = 5_000

export const project: Bench = {
  name: 'project',
  about: 'a read model built from the log in batches of 5,000; limit: the same fold in SQL, a statement to a batch',
  run: async (world) => {
    const { server, quick, progress } = world
    const events = world.events ?? (quick ? eventsQuick : eventsDefault)
    progress(`project: filling ${events} events`)
    const url = await server.createDatabase()
    await fillLog(url, events, length)
    const peerUrl = world.peer ? await preparePeer(world, (made) => fillPeerLog(made, peerEvents, length)) : undefined
    const parameters = { events, batchSize }
    const entrants: readonly Entrant[] = [
      { name: 'project/ours', parameters, url },
      { name: 'project/limit', parameters, url },
      ...(peerUrl === undefined
        ? []
        : [{ name: 'project/peer', parameters: { events: peerEvents, batchSize }, url: peerUrl } as const]),
    ]
    const [ours, limit, peer] = await inRounds(world, entrants, 'project')
    const digests = new Set([...figureOf(ours, 'digest'), ...figureOf(limit, 'digest')])
    if (digests.size !== 1) throw new Error('the rows that we wrote are not those that the database makes itself')
    world.report({
      bench: 'project',
      callers: null,
      unit: 'events/s',
      better: 'more',
      ours: figureOf(ours, 'eventsPerSecond'),
      limit: figureOf(limit, 'eventsPerSecond'),
      peer: peer && figureOf(peer, 'eventsPerSecond'),
      targets: { limit: 0.9 },
    })
    await server.dropDatabase(url)
    if (peerUrl !== undefined) await server.dropDatabase(peerUrl)
  },
}
