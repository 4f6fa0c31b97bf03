import { allProjections } from '../../projections/all.ts'
import { journalFiles, type Line, readJournal } from './journal.ts'
import type { Examiner, Proof } from './proof.ts'
import { type AppendCounts, examineAppends } from './proof-appends.ts'
import { examineStreams, examineTail } from './proof-order.ts'
import { proveLedger, proveReadModels } from './proof-read-models.ts'
import { readReceived, receivedFile } from './received.ts'
import type { World } from './world.ts'

export type Proven = {
  readonly proofs: readonly Proof[]
  readonly counts: AppendCounts
  readonly events: number
  readonly streams: number
  /** The number of rentals by how they ended. */
  readonly rentals: Readonly<Record<string, number>>
}

async function* linesOf(folder: string, writer: string): AsyncGenerator<Line> {
  yield* readJournal(await journalFiles(folder, writer))
}

/** Reads the log once, from its beginning, beside all that was written down about it, and then holds the read models
 *  and the ledger against it. Memory is needed for one read model at a time, the names of the streams, and what was
 *  under way at once. `onEvents` gets the number of events read so far, now and then. */
export const prove = async (options: {
  readonly world: Pick<World, 'store' | 'database' | 'read' | 'folders'>
  readonly writers: readonly string[]
  readonly tails: readonly string[]
  readonly onEvents?: (events: number) => void
}): Promise<Proven> => {
  const { world, writers, tails, onEvents = () => undefined } = options
  const { store, database, read, folders } = world
  const journals = writers.map((writer) => ({ writer, lines: linesOf(folders.journals, writer) }))
  const appends = examineAppends(journals, store)
  const streams = examineStreams()
  const examiners: Examiner[] = [
    appends,
    streams,
    ...tails.map((tail) => examineTail(tail, readReceived(receivedFile(folders.journals, tail)))),
  ]
  for await (const event of store.readAll()) {
    for (const examiner of examiners) await examiner.examine(event)
    if (streams.events() % 10_000 === 0) onEvents(streams.events())
  }
  const proofs: Proof[] = []
  for (const examiner of examiners) proofs.push(await examiner.end())
  proofs.push(await proveReadModels({ store, database, projections: allProjections }))
  proofs.push(await proveLedger({ store, database, read }))
  const rentals = await database.query<{ status: string; count: bigint }>('chaos.rentals', RENTALS)
  return {
    proofs,
    counts: appends.counts,
    events: streams.events(),
    streams: streams.streams(),
    rentals: Object.fromEntries(rentals.map(({ status, count }) => [status, Number(count)])),
  }
}

const RENTALS = 'select status, count(*) as count from read.rentals group by status order by status'
