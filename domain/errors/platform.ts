/** Refusals and failures: the platform itself. */
export const platformErrors = {
  CONFIG_INVALID: {
    message: 'A setting is not valid.',
    hint: 'Correct the variable that the details name: they have what it takes, or why its value cannot work.',
  },
  PORT_TAKEN: {
    message: 'The port is taken by another program.',
    hint: 'Stop that program or set PORT to another one.',
  },
  DATA_FOLDER_IN_USE: {
    message: 'Another platform runs on this data folder.',
    hint: 'Stop it, or set DATA_DIR to another folder.',
  },
  DATA_FOLDER_VERSION: {
    message: 'The data folder was made by another version.',
    hint: 'Use the version that made it, or set DATA_DIR to a new folder.',
  },
  DATA_FOLDER_UNREACHABLE: {
    message: 'The data folder cannot be used.',
    hint: 'Set DATA_DIR, or JOB_DIR where the folder is that of the jobs, to one that can be written and entered.',
  },
  KEY_FILE_INVALID: {
    message: 'A file of keys, or the one with the name of the cluster, is missing or damaged.',
    hint: 'The details name the file and what to do; nothing was changed.',
  },
  DATABASE_UNAVAILABLE: {
    message: 'The database does not answer.',
    hint: 'The platform tries again; nothing was lost. Repeat the request with the same idempotency key.',
  },
  DATABASE_UNREACHABLE: {
    message: 'No database answers at DATABASE_URL.',
    hint: 'Start the database, or correct host, port or socket in DATABASE_URL.',
  },
  EVENT_STORE_UNREACHABLE: {
    message: 'No event store answers at EVENTSTORE_URL.',
    hint: 'Start its server, or correct EVENTSTORE_URL.',
  },
  DATABASE_FULL: {
    message: 'The disk of the database is full; nothing was stored.',
    hint: 'Free space on the disk and repeat the request with the same idempotency key; no restart is needed.',
  },
  DATABASE_SCHEMA_NEWER: {
    message: 'The database was migrated by a newer version of this program.',
    hint: 'Run that version.',
  },
  DATABASE_SCHEMA_OLDER: {
    message: 'The database was made by an older version of this program.',
    hint: 'Start the platform once with this version: it brings the database up to date.',
  },
  PLATFORM_UNREACHABLE: {
    message: 'No platform answers at this address.',
    hint: 'Start one in another terminal with npm start, or give its address with --url.',
  },
  PLATFORM_NOT_READY: {
    message: 'The platform at this address is not ready.',
    hint: 'The details name which of its parts are not: see its log and /status.',
  },
  PLATFORM_NOT_STARTED: {
    message: 'The platform did not start.',
    hint: 'The details say how it ended and with which failure: mend that, or see what npm start prints.',
  },
  PATH_UNUSABLE: {
    message: 'A file or folder cannot be read or written.',
    hint: 'The details name the path and the reason: choose another path, free space there, or change its permissions.',
  },
  LOG_NOT_FOUND: {
    message: 'There is no event log here yet.',
    hint: 'Start the platform once, or set DATA_DIR, DATABASE_URL or EVENTSTORE_URL to where its log is.',
  },
  LOG_DAMAGED: {
    message: 'Something is wrong with the log.',
    hint: 'The lines before name what; restore the log from a backup, or ask who works on its server.',
  },
  LOG_IN_USE: {
    message: 'Other processes work with this log.',
    hint: 'Stop all platforms and tools that use its database, and repeat this.',
  },
  LOG_REPLACED: {
    message: 'The log lacks events that this platform knows: it was put back to an earlier state, or is another one.',
    hint: 'Nothing is written to it. Bring the former log back and start again, or adopt this one as it is: npm run log -- adopt.',
  },
  STREAM_DAMAGED: {
    message:
      'This stream is not whole: it was deleted or truncated, another program has written to it, or the log is damaged.',
    hint: 'Look at the stream in the details on the server of the log, and restore the log from a backup.',
  },
  POSITION_FOREIGN: {
    message: 'This is no position of this log, or of a part of it that was lost.',
    hint: 'Take one that this log returned, or begin again without one. Read models and consumers of another log belong to that one.',
  },
  POSITION_NOT_REACHED: {
    message: 'The read model has not reached this position in time.',
    hint: 'Try again in a moment.',
  },
  POSITION_AHEAD: {
    message: 'The log does not reach this position.',
    hint: 'Use a position that this store returned.',
  },
  POSITION_TOO_OLD: {
    message: 'Too much has happened since this position to go on from there.',
    hint: 'Query what you need, and subscribe after the position that the query head returned before.',
  },
  EVENT_INVALID: { message: 'This event cannot be stored.', hint: 'See the details.' },
  EVENT_UNREADABLE: {
    message: 'A stored event does not match its schema.',
    hint: 'See the details for the stream and the revision.',
  },
  EVENT_NOT_FOLDED: {
    message: 'A stored event cannot be folded into a read model.',
    hint: 'Its stream is parked there. See the error, run a version that can fold the event, and retry the stream.',
  },
  READ_MODEL_DEFECTIVE: {
    message: 'The read model stands still: no single event causes this, so nothing is parked.',
    hint: 'See the details. Correct the program, the schema or the rights; it is tried again and loses nothing.',
  },
  PARKED_STREAM_UNKNOWN: {
    message: 'The read model has no such parked stream.',
    hint: 'Query projections for the parked streams.',
  },
  PARKED_TASK_UNKNOWN: {
    message: 'No task with this key is parked.',
    hint: 'Query parkedTasks for the parked ones; a worker may have taken it up again.',
  },
  READ_MODEL_BUILDING: {
    message: 'This read model is being built for the first time and cannot be queried yet.',
    hint: 'See the details, or /status, for its progress, and try again later.',
  },
  CONFLICT_UNRESOLVED: {
    message: 'Too many other requests changed the same thing at the same time.',
    hint: 'Repeat the request with the same idempotency key.',
  },
  QUERY_TOO_COSTLY: {
    message: 'The query asks for too much at once.',
    hint: 'Ask for fewer nodes with first, for fewer fields, or with fewer aliases; the limits are in the details.',
  },
  LENGTH_REQUIRED: {
    message: 'The body of a request needs a Content-Length.',
    hint: 'Send its length in the head and not the body in chunks; have a proxy that streams requests buffer them.',
  },
  TOO_MANY_REQUESTS: {
    message: 'There are too many requests, connections or subscriptions at once.',
    hint: 'Wait until some have ended. One connection carries many operations.',
  },
  ANSWER_TIMED_OUT: {
    message: 'The answer took too long.',
    hint: 'Ask for less at once. A mutation may have been done: repeat it with the same idempotency key.',
  },
  ANSWER_TOO_LARGE: {
    message: 'The answer is larger than this platform sends at once.',
    hint: 'Ask for fewer nodes with first, or for fewer fields. A mutation was done all the same: query its result.',
  },
  CHAIN_UNAVAILABLE: {
    message: 'The chain does not answer.',
    hint: 'Repeat the request or the command in a moment; nothing was lost. Deposits are looked for again without that.',
  },
  CHAIN_ANSWER_TOO_LARGE: {
    message: 'A node of the chain does not answer for a single block: it holds too much, or the answer takes too long.',
    hint: 'The platform asks again; no deposit is lost meanwhile. Raise what the node answers at once for logs, or set CHAIN_RPC_URL to another node.',
  },
  CHAIN_WITHOUT_FAUCET: {
    message: 'Money is given away on the embedded chain only, and this platform is on another chain.',
    hint: 'Start a platform without CHAIN_RPC_URL.',
  },
  CHAIN_NODES_DISAGREE: {
    message: 'The answers of the nodes of the chain do not fit together.',
    hint: 'A platform that runs asks again, and credits no deposit and calls none vanished meanwhile; start one again that was starting. If it stays so, set CHAIN_RPC_URL to another node.',
  },
  CHAIN_ANSWER_INVALID: {
    message: 'A node of the chain answered what is no answer to the request.',
    hint: 'Repeat the request or the command in a moment; deposits are looked for again without that, and none is lost. If it stays so, set CHAIN_RPC_URL to another node.',
  },
  CHAIN_REPLACED: {
    message: 'This is another chain than the one whose deposits this database has credited.',
    hint: 'Either bring the former chain back (the folder chain of its data folder from a backup, or CHAIN_RPC_URL), or begin with a new database (a new DATA_DIR, or another DATABASE_URL).',
  },
  CHAIN_JOURNAL_BROKEN: {
    message: 'The journal of the embedded chain cannot be replayed.',
    hint: 'Restore the data folder from a backup, or set DATA_DIR to a new folder.',
  },
  INTERNAL: {
    message: 'An unexpected error occurred.',
    hint: 'Repeat the request; if the error remains, report the correlation id.',
  },
} as const
