import type { ClientBase } from 'pg'

/** What the statements of the platform rely on, whatever server, database and role are set to. Numbers of time-outs are
 *  milliseconds, 0 is none. A server that does not know one of the names yet is not asked for it. */
const sessionSettings: Readonly<Record<string, string>> = {
  // A statement that waited for a lock must see what the holder has committed, and no retry of ours knows 40001.
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  // The driver reads dates, times and bytes in these formats alone.
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '1',
  array_nulls: 'on',
  transform_null_equals: 'off',
  // Texts in COPY are quoted for this.
  standard_conforming_strings: 'on',
  // A rebuild or a search for a checkpoint takes as long as it takes.
  transaction_timeout: '0',
  lock_timeout: '0',
  idle_session_timeout: '0',
  // A process that was stopped inside a transaction must not hold its locks for long.
  idle_in_transaction_session_timeout: '30000',
}

/** The time-out of a statement is lifted first, or it could end the second one. A commit that a caller has seen must be on
 *  disk: stronger settings than `on` stay. */
const PREPARE = `set statement_timeout = 0;
select set_config(wanted.name, wanted.value, false)
from (values ${Object.entries(sessionSettings)
  .map(([name, value]) => `('${name}', '${value}')`)
  .join(', ')}) as wanted (name, value)
join pg_settings as known on known.name = wanted.name and known.setting <> wanted.value
union all
select set_config('synchronous_commit', 'on', false) where current_setting('synchronous_commit') = 'off'`

/** Sets what the platform relies on for a new connection, in one statement. For the option `onConnect` of a pool. */
export const prepareSession = async (client: Pick<ClientBase, 'query'>): Promise<void> => {
  await client.query(PREPARE)
}
