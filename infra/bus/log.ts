import { Failure } from '../../domain/errors.ts'
import { createBackoff } from '../async/backoff.ts'
import type { EventStore } from '../event-store/port.ts'
import type { Database } from '../postgres.ts'
import type { Log } from '../telemetry.ts'
import type { Bus } from './port.ts'

const READ = `select position from ops.consumers where name = $1`
const SAVE = `
insert into ops.consumers (name, position) values ($1, $2)
on conflict (name) do update set position = greatest(ops.consumers.position collate "C", excluded.position collate "C")`

const batchSize = 100
/** The shortest time between two savings of a position. */
const saveMsMin = 1_000
const pauseMsMin = 200
const pauseMsMax = 5_000

/** Makes the embedded bus: consumers read the log itself, and their positions are stored in the table ops.consumers. */
export const logBus = ({
  store,
  database: { query },
  log,
}: {
  readonly store: EventStore
  readonly database: Pick<Database, 'query'>
  readonly log: Log
}): Bus => {
  const position: Bus['position'] = async (consumer) => {
    const [row] = await query<{ position: string }>('bus.position', READ, [consumer], { retry: true })
    return row && store.parsePosition(row.position)
  }

  /** Consumes until the signal aborts, or throws. What was handled is saved at once after a pause, and under way from
   *  time to time: what a process that dies has not saved is delivered again. */
  const consumeOnce: Bus['consume'] = async ({ consumer, filter, signal, handle }) => {
    const after = await position(consumer)
    let handled = after
    let saved = after
    let savedAtMs = Number.NEGATIVE_INFINITY
    let timer: NodeJS.Timeout | undefined
    const save = async () => {
      clearTimeout(timer)
      timer = undefined
      savedAtMs = performance.now()
      if (handled === undefined || handled === saved) return
      const saving = handled
      await query('bus.save', SAVE, [consumer, saving])
      saved = saving
    }
    const saveLater = () => {
      timer ??= setTimeout(() => save().catch(saveLater), saveMsMin).unref()
    }
    try {
      for await (const batch of store.subscribe({ ...filter, ...(after && { after }), batchSize, signal })) {
        if (batch.events.length > 0) await handle(batch)
        handled = batch.position
        if (performance.now() - savedAtMs < saveMsMin) saveLater()
        else await save().catch(saveLater)
      }
    } finally {
      clearTimeout(timer)
      await save().catch(() => undefined)
    }
  }

  return {
    name: 'log',
    position,
    consume: async (options) => {
      const backoff = createBackoff({ minMs: pauseMsMin, maxMs: pauseMsMax })
      while (!options.signal.aborted) {
        const startedAt = Date.now()
        try {
          await consumeOnce(options)
        } catch (error) {
          if (options.signal.aborted) return
          if (Date.now() - startedAt > pauseMsMax) backoff.reset()
          const code = error instanceof Failure ? error.code : 'INTERNAL'
          log.warn(
            { consumer: options.consumer, code, err: error },
            'a batch could not be handled and is delivered again',
          )
          await backoff.pause(options.signal)
        }
      }
    },
  }
}
