import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { sleep } from '../async/sleep.ts'
import type { Database } from '../postgres.ts'
import { unlessMissing } from '../system/files.ts'
import { parseJson } from '../system/json.ts'
import type { Log } from '../telemetry.ts'
import type { KeptEvent, KnownEvent, KnownLog } from './known-log.ts'
import type { Position } from './port.ts'

/** A place outside the database of the log for the latest event that was read or acknowledged, so that the next start
 *  misses it too. */
export type Keeper = {
  /** Where it is kept, for people. */
  readonly place: string
  load(): Promise<KnownEvent | undefined>
  save(event: KnownEvent): Promise<void>
  forget(): Promise<void>
}

const keptEvent = z.object({
  position: z.string(),
  id: z.string(),
  stream: z.string(),
  revision: z.string().regex(/^\d+$/),
})

const toKept = ({ position, id, stream, revision }: KnownEvent) => ({
  position,
  id,
  stream,
  revision: String(revision),
})
const fromKept = ({ position, revision, id, ...event }: z.infer<typeof keptEvent>): KnownEvent => ({
  ...event,
  // Versions before 2026-12-01 kept it as it was given.
  id: id.toLowerCase(),
  position: position as Position,
  revision: BigInt(revision),
})

/** Keeps it in a file of the data folder. A file that cannot be read counts as none. */
export const keepInFolder = (folder: string): Keeper => {
  const place = join(folder, 'latest-event.json')
  return {
    place,
    load: async () => {
      const text = await readFile(place, 'utf8').catch(unlessMissing)
      const found = text === undefined ? undefined : keptEvent.safeParse(parseJson(text)).data
      return found && fromKept(found)
    },
    save: async (event) => {
      await writeFile(`${place}.draft`, `${JSON.stringify(toKept(event))}\n`, { flush: true })
      await rename(`${place}.draft`, place)
    },
    forget: () => rm(place, { force: true }),
  }
}

const LOAD = 'select position, event_id as id, stream, revision::text as revision from ops.latest_event'
/** Several processes save, each what it has seen. */
const SAVE = `
insert into ops.latest_event (position, event_id, stream, revision) values ($1, $2, $3, $4)
on conflict (only_row) do update set position = excluded.position, event_id = excluded.event_id,
  stream = excluded.stream, revision = excluded.revision, saved_at = now()
where ops.latest_event.position collate "C" < excluded.position collate "C"`

/** Keeps it in the table ops.latest_event: for a log that is not in this database. */
export const keepInDatabase = ({ query }: Pick<Database, 'query'>): Keeper => ({
  place: 'ops.latest_event',
  load: async () => {
    const [row] = await query<z.infer<typeof keptEvent>>('eventStore.loadLatest', LOAD, [], { retry: true })
    return row && fromKept(row)
  },
  save: async (event) => {
    const { position, id, stream, revision } = toKept(event)
    await query('eventStore.saveLatest', SAVE, [position, id, stream, revision])
  },
  forget: async () => {
    await query('eventStore.forgetLatest', 'delete from ops.latest_event')
  },
})

/** Resolves to the events that these places have kept. */
export const loadKept = async (keepers: readonly Keeper[]): Promise<readonly KeptEvent[]> => {
  const kept = await Promise.all(keepers.map(async ({ place, load }) => ({ place, event: await load() })))
  return kept.flatMap(({ place, event }) => (event ? [{ place, event }] : []))
}

/** How much of what was acknowledged before a kill the next start may not miss. */
const saveMs = 1_000

/** Saves the latest event again and again where it has changed, and a last time at the end, also of a log that was
 *  replaced: it is the event that the other one lacks. A place that cannot be written is logged once, and tried again.
 *  Returns the function that ends it. */
export const keepLatest = (
  keepers: readonly Keeper[],
  known: Pick<KnownLog, 'latest'>,
  log: Pick<Log, 'warn'> | undefined,
): (() => Promise<void>) => {
  const stopping = new AbortController()
  let isFailing = false
  let saved: string | undefined

  const save = async (): Promise<void> => {
    const latest = known.latest()
    if (!latest || latest.position === saved) return
    let isSaved = true
    for (const { place, save: saveAt } of keepers)
      try {
        await saveAt(latest)
      } catch (err) {
        isSaved = false
        if (!isFailing) log?.warn({ err, place }, 'the latest event cannot be kept there; it is tried again')
      }
    isFailing = !isSaved
    if (isSaved) saved = latest.position
  }

  const saving = (async () => {
    while (!stopping.signal.aborted) {
      await save()
      await sleep(saveMs, stopping.signal)
    }
  })()
  return async () => {
    stopping.abort()
    await saving
    await save()
  }
}
