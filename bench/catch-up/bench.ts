import { fillLog, fillPeerLog } from '../fill.ts'
import { preparePeer } from '../peer-log.ts'
import { type Bench, type Entrant, figureOf, inRounds } from '../world.ts'

const eventsDefault = 1_000_000
const eventsQuick = 3_000
const length = 100
/** Larger ones bring no more, only more memory. */
const batchSize = 1_000

/** The settings of the peer, and how much of the log it reads in a round. */
const peerWays = [
  // The largest batch of Emmett's own benchmark, and no pause that is not needed.
  { bench: 'catch-up', read: 10_000, pulling: { batchSize: 2_000, pullingFrequencyInMs: 1 } },
  // Better for the peer than any published setting.
  { bench: 'catch-up, peer in batches of 5,000', read: 20_000, pulling: { batchSize: 5_000, pullingFrequencyInMs: 1 } },
  // What its pages give as defaults.
  { bench: 'catch-up, peer as it comes', read: 1_000, pulling: { batchSize: 100, pullingFrequencyInMs: 50 } },
] as const

export const catchUp: Bench = {
  name: 'catch-up',
  about: 'a log of 1,000,000 events read from the beginning; limit: COPY TO in binary of the same rows',
  run: async (world) => {
    const { server, quick, progress } = world
    const events = world.events ?? (quick ? eventsQuick : eventsDefault)
    progress(`catch-up: filling ${events} events`)
    await server.needBytes(events * 2_000)
    const url = await server.createDatabase()
    await fillLog(url, events, length)
    const peerUrl = world.peer ? await preparePeer(world, (made) => fillPeerLog(made, events, length)) : undefined
    const from = Math.floor(events / 2)
    const peers = peerWays.map(({ read, pulling }): Entrant => {
      const parameters = { from, events: Math.min(read, events - from), ...pulling }
      return { name: 'catch-up/peer', parameters, url: peerUrl }
    })
    const entrants: readonly Entrant[] = [
      { name: 'catch-up/ours', parameters: { events, batchSize }, url },
      { name: 'catch-up/limit', parameters: { events }, url },
      ...(world.peer ? peers : []),
    ]
    const [ours, limit, ...ofPeer] = await inRounds(world, entrants, 'catch-up')
    for (const [way, { bench }] of peerWays.entries()) {
      if (way > 0 && !world.peer) continue
      world.report({
        bench,
        callers: null,
        unit: 'events/s',
        better: 'more',
        ours: figureOf(ours, 'eventsPerSecond'),
        limit: way === 0 ? figureOf(limit, 'eventsPerSecond') : undefined,
        peer: ofPeer[way] && figureOf(ofPeer[way], 'eventsPerSecond'),
        targets: way === 0 ? { limit: 0.6 } : {},
      })
    }
    world.report({
      bench: 'catch-up, memory',
      callers: null,
      unit: 'MB RSS at most',
      better: 'less',
      ours: figureOf(ours, 'megabytes'),
      targets: { ours: 300 },
    })
    await server.dropDatabase(url)
    if (peerUrl !== undefined) await server.dropDatabase(peerUrl)
  },
}
