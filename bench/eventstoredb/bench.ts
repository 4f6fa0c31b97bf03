import { newId } from '../../commands/ids.ts'
import { inChunks } from '../../infra/async/chunks.ts'
import { eventAt } from '../events.ts'
import type { Targets } from '../rows.ts'
import { type Bench, type Entrant, figureOf, inRounds, type World } from '../world.ts'
import { withEventStoreDb } from './connect.ts'

const readEvents = 50_000
const readEventsQuick = 500
const filledAtOnce = 8
const eventsPerFill = 100
const importedLines = 2_000
const importedLinesQuick = 50

type Measured = {
  readonly bench: string
  readonly callers: number | null
  readonly unit: string
  readonly targets: Targets
}

/** Measures ours beside the bare client, by the name of the work and that of the figure. */
const beside = async (
  world: World,
  { url, work, figure }: { url: string; work: 'append' | 'read' | 'import'; figure: string },
  measured: Measured,
  parameters: Entrant['parameters'],
): Promise<void> => {
  const entrants: readonly Entrant[] = [
    { name: `eventstoredb/${work}-ours`, url, parameters },
    { name: `eventstoredb/${work}-client`, url, parameters },
  ]
  const [ours, limit] = await inRounds(world, entrants, `${measured.bench}, ${measured.callers ?? 1} callers`)
  world.report({ ...measured, better: 'more', ours: figureOf(ours, figure), limit: figureOf(limit, figure) })
}

/** Appends events after the end of the log, and resolves to the position before them: both read from there, so the
 *  server may hold anything before. */
const fill = (url: string, events: number): Promise<string> =>
  withEventStoreDb(url, async (store) => {
    const after = await store.head()
    const run = newId()
    const parts = Array.from({ length: Math.ceil(events / eventsPerFill) }, (_, n) => n)
    await inChunks(parts, filledAtOnce, (some) =>
      Promise.all(
        some.map((part) => {
          const made = Array.from({ length: eventsPerFill }, (_, n) => ({ ...eventAt(part, 2 + n), id: newId() }))
          return store.append({ stream: `bench-${run}-${part}`, expected: 'no stream', events: made })
        }),
      ),
    )
    return after
  })

export const eventstoredb: Bench = {
  name: 'eventstoredb',
  about: 'the store on EventStoreDB; limit: the bare client on the same server (EVENTSTORE_URL, or --eventstore FILE)',
  engine: 'EventStoreDB',
  run: async (world) => {
    const { eventStoreDb, quick, progress } = world
    if (eventStoreDb === undefined)
      return progress('eventstoredb: left out, no EventStoreDB here: set EVENTSTORE_URL, or give --eventstore FILE')
    const { url } = eventStoreDb
    const events = world.events ?? (quick ? readEventsQuick : readEvents)
    progress(`eventstoredb: appending ${events} events to read`)
    const after = await fill(url, events)
    for (const how of ['read', 'subscribe'] as const)
      await beside(
        world,
        { url, work: 'read', figure: 'eventsPerSecond' },
        {
          bench: how === 'read' ? 'eventstoredb, read of everything' : 'eventstoredb, catch-up of a subscription',
          ...{ callers: null, unit: 'events/s', targets: { limit: 1 } },
        },
        { how, events, after },
      )
    const times = quick ? { warmUpMs: 20, measureMs: 100 } : { warmUpMs: 500, measureMs: 2_500 }
    const append = { url, work: 'append', figure: 'eventsPerSecond' } as const
    for (const [callers, eventsPerAppend] of quick ? ([[8, 1]] as const) : loads)
      await beside(
        world,
        append,
        {
          bench: eventsPerAppend === 1 ? 'eventstoredb, append' : `eventstoredb, append of ${eventsPerAppend}`,
          ...{ callers, unit: 'events/s', targets: { limit: 0.9 } },
        },
        { callers, eventsPerAppend, run: newId(), ...times },
      )
    await beside(
      world,
      { url, work: 'import', figure: 'linesPerSecond' },
      { bench: 'eventstoredb, import of a catalog', callers: 32, unit: 'lines/s', targets: { limit: 0.9 } },
      { lines: quick ? importedLinesQuick : importedLines },
    )
  },
}

/** How many callers, and how many events they append at once. */
const loads: readonly (readonly [callers: number, eventsPerAppend: number])[] = [
  [1, 1],
  [32, 1],
  [256, 1],
  [32, 10],
]
