import { NO_STREAM } from '@eventstore/db-client'
import { newId } from '../../commands/ids.ts'
import { inChunks } from '../../infra/async/chunks.ts'
import { eventAt } from '../events.ts'
import type { Outcome, Task } from '../task.ts'
import { withClient } from './connect.ts'
import type { ImportSize } from './import-ours.ts'

const atOnceMax = 32

/** Appends an event to each of as many new streams as an import does, so many at once; it reads and decides nothing. */
export const contestant = ({ url, parameters }: Task<ImportSize>): Promise<Outcome> =>
  withClient(url, async (client) => {
    const { lines } = parameters
    const run = newId()
    const all = Array.from({ length: lines }, (_, n) => ({ ...eventAt(n, 2), id: newId() }))
    const begun = performance.now()
    await inChunks([...all.entries()], atOnceMax, (some) =>
      Promise.all(
        some.map(([n, event]) =>
          client.appendToStream(`listing-${run}-${n}`, { ...event, contentType: 'application/json' } as never, {
            expectedRevision: NO_STREAM,
          }),
        ),
      ),
    )
    return { linesPerSecond: (lines * 1000) / (performance.now() - begun) }
  })
