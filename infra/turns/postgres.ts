import { createHash } from 'node:crypto'
import { createBoundedMap, registerBound } from '../async/bounded.ts'
import { createSemaphore } from '../async/semaphore.ts'
import { channels, TAKE_TEXT_LOCK, textLocks } from '../locks.ts'
import type { Database } from '../postgres.ts'
import type { Log } from '../telemetry.ts'
import type { Turns } from './port.ts'

/** At how many streams a process takes turns at once: each turn holds a connection, and the work in it needs another. */
const turnsAtOnceMax = 2
/** How long a turn is waited for. A process that holds it longer was stopped. */
const turnWaitMsMax = 5_000
/** For how long the processes take turns after a notice. */
const contestedMs = 2_000
const contestedStreams = registerBound({
  name: 'contested streams',
  holds: 'The streams at which the processes have taken turns lately.',
  whenFull: 'evicts the oldest',
  entriesMax: 1_000,
})

/** Opens the turns of processes that share a database. A turn is a lock that the database gives in the order of asking;
 *  NOTIFY announces a contested stream to all processes, because one that is never beaten would not notice. */
export const openPostgresTurns = async ({
  database,
  log,
}: {
  readonly database: Pick<Database, 'query' | 'transaction' | 'listen'>
  readonly log: Log
}): Promise<Turns> => {
  const limited = createSemaphore(turnsAtOnceMax)
  /** The moment at which each contested stream, by its key, is free again. */
  const until = createBoundedMap<number>(contestedStreams)

  const remember = (key: string): void => {
    if (key !== '') until.set(key, performance.now() + contestedMs)
  }
  const remainingMs = (key: string): number => (until.get(key) ?? 0) - performance.now()

  const listener = await database.listen(channels.streamContested, remember)

  return {
    isContested: (stream) => remainingMs(keyOf(stream)) > 0,
    contest: async (stream) => {
      const key = keyOf(stream)
      // All others have been told a moment ago.
      if (remainingMs(key) > contestedMs / 2) return
      remember(key)
      await database
        .query('commands.contest', 'select pg_notify($1, $2)', [channels.streamContested, key])
        .catch((err: unknown) => log.debug({ err, stream }, 'other processes were not told of a busy stream'))
    },
    exclusively: async (stream, work) => {
      let running: ReturnType<typeof work> | undefined
      const run = () => {
        running ??= work()
        return running
      }
      try {
        return await limited(() =>
          database.transaction('commands.turn', async (query) => {
            await query('commands.turn.wait', SET_LOCK_WAIT, [`${turnWaitMsMax}`])
            await query('commands.turn.lock', TAKE_TEXT_LOCK, [textLocks.streamTurn(stream)])
            return run()
          }),
        )
      } catch (err) {
        // What the work has answered or thrown counts, whatever became of the lock.
        if (running === undefined) log.debug({ err, stream }, 'no turn at a busy stream, going on without')
        return run()
      }
    },
    close: () => listener.close(),
  }
}

/** Returns a short name: the payload of NOTIFY is bounded, the name of a stream is not. */
const keyOf = (stream: string): string => createHash('sha256').update(stream).digest('base64url')

/** Ends with the transaction. */
const SET_LOCK_WAIT = `select set_config('lock_timeout', $1, true)`
