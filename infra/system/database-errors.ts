import { Failure } from '../../domain/errors.ts'
import { errorCode } from './errors.ts'

/** What an error of the database shows about the statement that met it:
 *  - `outage`: nothing about its values. The same statement succeeds later.
 *  - `overload`: the statement took too long or too much. The same may succeed later; if it meets this again and again
 *    while others succeed, it is too large.
 *  - `value`: the database will never take one of its values.
 *  - `defect`: what no single value causes, such as a missing table or right. A person has to act. */
export type ErrorClass = 'outage' | 'overload' | 'value' | 'defect'

/** Classes by SQLSTATE: a whole code counts before its first two characters. What is not listed is a defect. Source:
 *  https://www.postgresql.org/docs/current/errcodes-appendix.html */
export const sqlStateClasses: ReadonlyMap<string, ErrorClass> = new Map([
  ['21', 'value'], // cardinality_violation
  ['22', 'value'], // data_exception
  ['23', 'value'], // integrity_constraint_violation
  ['44', 'value'], // with_check_option_violation
  ['54000', 'value'], // program_limit_exceeded: an index row or a text that is too large
  ['54001', 'value'], // statement_too_complex: JSON that is nested too deeply
  ['P0001', 'value'], // raise_exception: a trigger refuses it
  ['08', 'outage'], // connection_exception
  ['25006', 'outage'], // read_only_sql_transaction: a primary that has become a standby
  ['25P02', 'outage'], // in_failed_sql_transaction: follows another error
  ['25P03', 'outage'], // idle_in_transaction_session_timeout
  ['25P04', 'outage'], // transaction_timeout
  ['40', 'outage'], // transaction_rollback: serialization_failure, deadlock_detected
  ['53', 'outage'], // insufficient_resources: disk_full, too_many_connections
  ['53200', 'overload'], // out_of_memory
  ['53400', 'overload'], // configuration_limit_exceeded: temp_file_limit
  ['55006', 'outage'], // object_in_use
  ['55P03', 'outage'], // lock_not_available: a lock time-out
  ['57', 'outage'], // operator_intervention: admin_shutdown, crash_shutdown, cannot_connect_now
  ['57014', 'overload'], // query_canceled: statement_timeout
  ['57P04', 'defect'], // database_dropped
  ['58', 'outage'], // system_error: io_error
  ['58P01', 'defect'], // undefined_file
  ['58P02', 'defect'], // duplicate_file
])

/** What PostgreSQL and V8 say, without a code of its own, of more than they can hold at once. */
const tooLargeMessages = ['invalid memory alloc request size', 'Invalid string length']

/** Returns the class of an error that a statement has met, as infra/postgres.ts throws it. An error that is none of the
 *  database is a defect. */
export const errorClassOf = (error: unknown): ErrorClass => {
  if (error instanceof Failure)
    return error.code === 'DATABASE_UNAVAILABLE' || error.code === 'DATABASE_FULL' ? 'outage' : 'defect'
  if (error instanceof Error && tooLargeMessages.some((text) => error.message.includes(text))) return 'overload'
  const code = errorCode(error) ?? ''
  if (!/^[0-9A-Z]{5}$/.test(code)) return 'defect'
  return sqlStateClasses.get(code) ?? sqlStateClasses.get(code.slice(0, 2)) ?? 'defect'
}
