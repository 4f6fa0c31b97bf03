// Every advisory lock and channel that the platform uses in PostgreSQL. They are data: by them processes of two versions exclude
// each other and hear of each other, so none of them may change.

/** Locks by two numbers; the first says that they are ours. */
const family = 1_852_994_401
const replayFamily = 1_852_994_402

/** What `pg_advisory_xact_lock($1, $2)` takes. */
export type NumberedLock = readonly [family: number, number: number]

export const locks = {
  /** Held by an append until it is committed: it gives positions in the order of commits. */
  append: [family, 1],
  migrateLog: [family, 2],
  migrateOperations: [family, 3],
  migrateReadModels: [family, 4],
} as const satisfies Readonly<Record<string, NumberedLock>>

/** Locks by a text, whose hash is the lock: `pg_advisory_xact_lock(hashtextextended($1, 0))`. */
export const textLocks = {
  migrateTaskQueue: 'jobs.migrate',
  /** Held while a version of a read model is opened, built or swapped in. */
  readModel: (name: string) => `neuralmesh read model ${name}`,
}

/** The lock of a schema that a replay builds: `pg_try_advisory_xact_lock($1, hashtext($2))`. */
export const replayLock = (schema: string): readonly [family: number, schema: string] => [replayFamily, schema]

export const TAKE_LOCK = 'select pg_advisory_xact_lock($1, $2)'
export const TAKE_TEXT_LOCK = 'select pg_advisory_xact_lock(hashtextextended($1, 0))'

/** Channels of NOTIFY. */
export const channels = { logAppended: 'log_events' } as const
