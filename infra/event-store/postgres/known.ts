import { Failure } from '../../../domain/errors.ts'
import type { Query } from '../../postgres.ts'
import { errorClassOf } from '../../system/database-errors.ts'
import { errorCode } from '../../system/errors.ts'
import { createKnownLog, type KnownEvent, type KnownLog } from '../known-log.ts'
import { partsOfPosition, storePrefixes } from '../position.ts'

/** What this process knows of the log in PostgreSQL. */
export type KnownInPostgres = Omit<KnownLog, 'look'> & {
  /** Runs a statement on the log. Throws LOG_REPLACED when the log turns out to be another one, and DATABASE_UNAVAILABLE
   *  for every error of the class `outage`. */
  readonly query: Query
  /** Returns a condition for a statement on the log: true where the log has the latest event that this process knows,
   *  else an error ends the statement. */
  condition(bind: (value: bigint | string) => string): string
  /** Returns the same for log.append_expected: the position and id of the latest event, or null, and the id of the store. */
  values(): readonly [position: bigint | null, id: string | null, storeId: string]
  /** Returns the name of a prepared statement with this condition. */
  named(name: string): string
  look(): Promise<void>
  /** Resolves to whether a database has this event, also where it has no log. */
  has(event: KnownEvent): Promise<boolean>
}

const HAS_LOG = `select to_regclass('log.events') is not null as "hasLog"`

/** A database in which neither is there holds no log of ours. Where only one is missing, the log is damaged. */
const LOOK_FOR_LOG = `select pg_is_in_recovery() as "isStandby",
  to_regclass('log.events') is not null or to_regclass('log.store') is not null as "isThere"`

const divisionByZero = '22012'
/** undefined_table, undefined_function, invalid_schema_name */
const missingCodes: readonly unknown[] = ['42P01', '42883', '3F000']
const isMissing = (error: unknown): boolean => missingCodes.includes(errorCode(error))

const LOOK = `select pg_is_in_recovery() as "isStandby",
  exists (select from log.events e where e.position = $1 and e.event_id = $2::uuid) as "isThere"`

const LOOK_FOR_STORE = `select pg_is_in_recovery() as "isStandby",
  exists (select from log.store k where k.id = $1) as "isThere"`

/** Returns the number in a position of this engine, whichever store made it; undefined for another engine. */
const numberIn = (position: string): bigint | undefined =>
  position.startsWith(storePrefixes.postgres) ? partsOfPosition(position, 1)?.numbers[0] : undefined

/** Creates what this process knows of the log in PostgreSQL. The condition is part of the very statements that append and
 *  read: so nothing is written to another log, or taken from it, not even by a connection that was open before.
 *  @param storeId names the log while no event of it is known. */
export const createKnownInPostgres = ({
  query,
  storeId,
  ...options
}: {
  readonly query: Query
  readonly storeId: () => string
  readonly onReplaced?: ((failure: Failure) => void) | undefined
  readonly pauseMs?: number | undefined
}): KnownInPostgres => {
  const ask = async (text: string, values: readonly unknown[]): Promise<boolean> => {
    const asked = query<{ isStandby: boolean; isThere: boolean }>('eventStore.look', text, values)
    const [found] = await asked.catch((error: unknown) => Promise.reject(asFailure(error)))
    // A standby shows an event some time after its primary.
    if (!found?.isThere && found?.isStandby) throw unavailable('a standby answers, which is behind')
    return found?.isThere === true
  }
  const isThere = async (event: KnownEvent | undefined): Promise<boolean> => {
    const number = event && numberIn(event.position)
    if (event && number === undefined) return false
    try {
      return await (event ? ask(LOOK, [number, event.id]) : ask(LOOK_FOR_STORE, [storeId()]))
    } catch (error) {
      if (!isMissing(error) || (await ask(LOOK_FOR_LOG, []))) throw error
      return false
    }
  }
  const known = createKnownLog({ isThere, ...options })

  return {
    ...known,
    has: async (event) => {
      const [found] = await query<{ hasLog: boolean }>('eventStore.look', HAS_LOG)
      return found?.hasLog === true && isThere(event)
    },
    query: async (label, text, values, queryOptions) => {
      known.assertSame()
      try {
        return await query(label, text, values, queryOptions)
      } catch (error) {
        if (errorCode(error) !== divisionByZero && !isMissing(error)) throw asFailure(error)
        await known.look()
        if (isMissing(error)) throw error
        throw unavailable('the log lacked what this process knows, and has it again')
      }
    },
    named: (name) => (known.latest() ? name : `${name}_of_empty_log`),
    values: () => {
      const latest = known.latest()
      return latest ? [numberIn(latest.position) ?? -1n, latest.id, storeId()] : [null, null, storeId()]
    },
    // It does not depend on a row, so PostgreSQL evaluates it once for each statement, before any row.
    condition: (bind) => {
      const latest = known.latest()
      const found = latest
        ? `from log.events k where k.position = ${bind(numberIn(latest.position) ?? -1n)}::bigint and k.event_id = ${bind(latest.id)}::uuid`
        : `from log.store k where k.id = ${bind(storeId())}`
      return `1 / coalesce((select 1 ${found}), 0) = 1`
    },
  }
}

/** Turns an error that shows nothing about the values of its statement into a Failure, whatever its code is: the same
 *  statement succeeds later. */
const asFailure = (error: unknown): unknown => {
  if (error instanceof Failure || errorClassOf(error) !== 'outage') return error
  return new Failure('DATABASE_UNAVAILABLE', { reason: (error as Error).message, sent: 'perhaps' }, error)
}

const unavailable = (reason: string) => new Failure('DATABASE_UNAVAILABLE', { reason })
