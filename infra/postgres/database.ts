import type { Fields } from './copy.ts'

/** `rowMode: 'array'` gives rows as arrays in column order. `retry: true` says that running the statement twice does no harm
 *  (a read): it is tried again for a few seconds while the database is away. `name` makes it a prepared statement. `decode` makes
 *  it COPY (text) TO STDOUT in binary, half the price for many rows, and gives what it makes of each; there are no bind variables
 *  then (`literalOf`), and no column may be null. */
export type QueryOptions = {
  readonly rowMode?: 'array'
  readonly retry?: boolean
  readonly name?: string
  readonly decode?: (fields: Fields) => unknown
}

export type Retry = Pick<QueryOptions, 'retry'>

/** Runs one statement. `label` names it in metrics and in the slow-query log. Types come back as: int8 → bigint,
 *  numeric → string, timestamptz → ISO 8601 string in UTC, json → parsed.
 *  Throws DATABASE_UNAVAILABLE when the connection failed and the outcome is unknown; other database errors as they are,
 *  with the SQLSTATE in `code`. */
export type Query = <Row>(
  label: string,
  text: string,
  values?: readonly unknown[],
  options?: QueryOptions,
) => Promise<Row[]>

export type Database = {
  readonly query: Query
  /** Commits when `work` resolves, rolls back when it throws, and then throws the same. Never retried. */
  transaction<T>(label: string, work: (query: Query) => Promise<T>): Promise<T>
  /** Calls `onNotify` with the payload of each NOTIFY on the channel, and with '' whenever the connection was made (again),
   *  because notifications may have been missed before. Reconnects by itself until closed. */
  listen(channel: string, onNotify: (payload: string) => void): Promise<{ close(): Promise<void> }>
  /** Resolves when the database answers. Throws DATABASE_UNAVAILABLE after `timeoutMs`. */
  waitUntilReady(timeoutMs: number): Promise<void>
  close(): Promise<void>
}
