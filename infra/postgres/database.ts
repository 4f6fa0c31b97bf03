import type { Fields } from './copy.ts'

/** - `rowMode: 'array'` returns rows as arrays in column order.
 *  - `retry: true` is for statements that may run twice, such as reads: it repeats them for a few seconds while the
 *    database is away.
 *  - `name` makes a prepared statement.
 *  - `decode` runs COPY (text) TO STDOUT in binary, at half the price for many rows, and returns what it makes of each
 *    row. Such a statement has no bind variables (use `literalOf`), and no column may be null. */
export type QueryOptions = {
  readonly rowMode?: 'array'
  readonly retry?: boolean
  readonly name?: string
  readonly decode?: (fields: Fields) => unknown
}

export type Retry = Pick<QueryOptions, 'retry'>

/** Runs one statement and resolves to its rows. `label` names it in metrics and in the slow-query log. Types are
 *  returned as: int8 → bigint, numeric → string, timestamptz → ISO 8601 string in UTC, json → parsed. Throws
 *  DATABASE_UNAVAILABLE when the connection failed and the outcome is unknown; other database errors unchanged, with
 *  the SQLSTATE in `code`. */
export type Query = <Row>(
  label: string,
  text: string,
  values?: readonly unknown[],
  options?: QueryOptions,
) => Promise<Row[]>

export type Database = {
  readonly query: Query
  /** Runs `work` in a transaction. Commits when it resolves; rolls back when it throws, and throws the same. Never
   *  retries. */
  transaction<T>(label: string, work: (query: Query) => Promise<T>): Promise<T>
  /** Calls `onNotify` with the payload of each NOTIFY on the channel. Also calls it with '' after each connect, because
   *  notifications may have been missed before. Reconnects by itself until closed. */
  listen(channel: string, onNotify: (payload: string) => void): Promise<{ close(): Promise<void> }>
  /** Resolves when the database answers. Throws DATABASE_UNAVAILABLE after `timeoutMs`. */
  waitUntilReady(timeoutMs: number): Promise<void>
  /** Returns whether a statement has failed lately with DATABASE_FULL. */
  isFull(): boolean
  close(): Promise<void>
}
