// Every advisory lock and channel that the platform uses in PostgreSQL. They are data: processes of two versions
// exclude and notify each other by them, so none of them may change.

/** Locks by two numbers; the first one is this platform's alone. */
const family = 1_852_994_401
const replayFamily = 1_852_994_402

/** The arguments of `pg_advisory_xact_lock($1, $2)`. */
export type NumberedLock = readonly [family: number, number: number]

/** Locks by two numbers, for TAKE_LOCK. */
export const locks = {
  /** Held by an append until its commit, so that positions are in the order of commits. */
  append: [family, 1],
  migrateLog: [family, 2],
  migrateOperations: [family, 3],
  migrateReadModels: [family, 4],
} as const satisfies Readonly<Record<string, NumberedLock>>

/** Locks by the hash of a text, for TAKE_TEXT_LOCK. */
export const textLocks = {
  migrateTaskQueue: 'jobs.migrate',
  /** Returns the lock that the process of the task workers with this id holds, shared. A lock that can be taken means
   *  that they are gone. */
  taskWorkers: (id: string) => id,
  /** Returns the lock under which processes take turns at a busy stream of the log. */
  streamTurn: (stream: string) => `neuralmesh stream ${stream}`,
  /** Returns the lock that is held while a version of a read model is opened, built or swapped in. */
  readModel: (name: string) => `neuralmesh read model ${name}`,
}

/** Returns the lock of a schema that a replay builds: `pg_try_advisory_xact_lock($1, hashtext($2))`. */
export const replayLock = (schema: string): readonly [family: number, schema: string] => [replayFamily, schema]

/** Waits for a lock of `locks`, and holds it until the end of the transaction. */
export const TAKE_LOCK = 'select pg_advisory_xact_lock($1, $2)'
/** Waits for a lock of `textLocks`, and holds it until the end of the transaction. */
export const TAKE_TEXT_LOCK = 'select pg_advisory_xact_lock(hashtextextended($1, 0))'

/** Channels of NOTIFY. */
export const channels = { logAppended: 'log_events', streamContested: 'stream_contested' } as const
