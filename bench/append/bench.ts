import type { Targets } from '../rows.ts'
import { type Bench, type Entrant, figureOf, inRounds, type World } from '../world.ts'

const single: readonly { callers: number; targets: Targets }[] = [
  { callers: 1, targets: { limit: 0.75 } },
  { callers: 8, targets: { limit: 1.2 } },
  { callers: 32, targets: { limit: 2.7 } },
  { callers: 64, targets: { limit: 4.5 } },
]
const crowd = 256
const copiedEvents = 100_000
const copiedEventsQuick = 1_000
/** As many as callers.ts gives a stream. */
const streamLength = 20

const timesOf = ({ quick }: World) => (quick ? { warmUpMs: 20, measureMs: 100 } : { warmUpMs: 500, measureMs: 2_500 })

const againstInserts = async (
  world: World,
  bench: string,
  callers: number,
  eventsPerAppend: number,
  targets: Targets,
): Promise<void> => {
  const parameters = { callers, eventsPerAppend, ...timesOf(world) }
  const entrants: readonly Entrant[] = [
    { name: 'append/ours', parameters },
    { name: 'append/insert', parameters },
    ...(world.peer ? [{ name: 'append/peer', parameters } as const] : []),
  ]
  const [ours, limit, peer] = await inRounds(world, entrants, `${bench}, ${callers} callers`)
  world.report({
    bench,
    callers,
    unit: 'events/s',
    better: 'more',
    ours: figureOf(ours, 'eventsPerSecond'),
    limit: figureOf(limit, 'eventsPerSecond'),
    peer: peer && figureOf(peer, 'eventsPerSecond'),
    targets,
  })
}

const againstCopy = async (world: World): Promise<void> => {
  const parameters = { callers: crowd, eventsPerAppend: 1, ...timesOf(world) }
  const events = world.quick ? copiedEventsQuick : copiedEvents
  const entrants: readonly Entrant[] = [
    { name: 'append/ours', parameters },
    { name: 'append/copy', parameters: { events, length: streamLength, eventsPerCommit: events } },
    { name: 'append/copy', parameters: { events, length: streamLength, eventsPerCommit: crowd / 2 } },
    ...(world.peer ? [{ name: 'append/peer', parameters } as const] : []),
  ]
  const [ours, whole, inGroups, peer] = await inRounds(world, entrants, `append, ${crowd} callers`)
  const row = {
    callers: crowd,
    unit: 'events/s',
    better: 'more',
    ours: figureOf(ours, 'eventsPerSecond'),
  } as const
  world.report({
    ...row,
    bench: 'append',
    limit: figureOf(whole, 'eventsPerSecond'),
    peer: peer && figureOf(peer, 'eventsPerSecond'),
    targets: {},
  })
  // What a group commit holds when one half of the callers waits for the disk and the other half is being written.
  world.report({
    ...row,
    bench: `append, COPY with a commit per ${crowd / 2}`,
    limit: figureOf(inGroups, 'eventsPerSecond'),
    targets: { limit: 0.55 },
  })
}

export const append: Bench = {
  name: 'append',
  about: 'events appended by many callers at once; limit: single INSERTs, at 256 callers COPY of the same rows',
  run: async (world) => {
    for (const { callers, targets } of world.quick ? single.slice(0, 1) : single)
      await againstInserts(world, 'append', callers, 1, targets)
    await againstCopy(world)
    await againstInserts(world, 'append of 10', 32, 10, { limit: 3 })
  },
}
