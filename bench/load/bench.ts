import { rentalsAtOnce } from '../events.ts'
import { fillLog, fillPeerLog } from '../fill.ts'
import { preparePeer } from '../peer-log.ts'
import { type Bench, type Entrant, figureOf, inRounds } from '../world.ts'

const lengthDefault = 100
const lengthQuick = 3

export const load: Bench = {
  name: 'load',
  about: 'one stream of 100 events read whole, one after the other; limit: a prepared SELECT, its JSON not read',
  run: async (world) => {
    const { server, quick, progress } = world
    const length = quick ? lengthQuick : lengthDefault
    const streams = 2 * rentalsAtOnce
    const events = streams * length
    progress(`load: filling ${events} events`)
    const url = await server.createDatabase()
    await fillLog(url, events, length)
    const peerUrl = world.peer ? await preparePeer(world, (made) => fillPeerLog(made, events, length)) : undefined
    const times = quick ? { warmUpMs: 20, measureMs: 100 } : { warmUpMs: 500, measureMs: 2_000 }
    for (const callers of [1, 8]) {
      const parameters = { callers, streams, length, ...times }
      const entrants: readonly Entrant[] = [
        { name: 'load/ours', parameters, url },
        { name: 'load/limit', parameters, url },
        ...(peerUrl === undefined ? [] : [{ name: 'load/peer', parameters, url: peerUrl } as const]),
      ]
      const [ours, limit, peer] = await inRounds(world, entrants, `load, ${callers} callers`)
      world.report({
        bench: 'load',
        callers,
        unit: 'streams/s',
        better: 'more',
        ours: figureOf(ours, 'loadsPerSecond'),
        limit: figureOf(limit, 'loadsPerSecond'),
        peer: peer && figureOf(peer, 'loadsPerSecond'),
        targets: { peer: 2 },
      })
    }
    await server.dropDatabase(url)
    if (peerUrl !== undefined) await server.dropDatabase(peerUrl)
  },
}
