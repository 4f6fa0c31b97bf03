import type { ErrorCode } from './errors.ts'

/** Whether asking again can help after a refusal that left no event. `final`: no later event of the stream can change it, so
 *  it is a "no". `again`: it may be decided otherwise later, so it means "try again", never "no". A refusal that is
 *  stored as an event, such as CapacityRefused, is final whatever its code. */
export type RefusalSort = 'final' | 'again'

/** The sort of every code. A code that is only thrown, never a refusal of a command, has the sort of its cause. */
export const refusalSorts: Readonly<Record<ErrorCode, RefusalSort>> = {
  // Identity and input
  NOT_SIGNED_IN: 'again',
  NOT_YOURS: 'final',
  PRIVILEGE_NEEDED: 'again',
  SIGN_IN_NONCE_UNKNOWN: 'final',
  SIGN_IN_SIGNATURE_INVALID: 'final',
  TOKEN_INVALID: 'final',
  INPUT_INVALID: 'final',
  IDEMPOTENCY_KEY_REUSED: 'final',
  // Provider and listing
  PROVIDER_ALREADY_REGISTERED: 'final',
  PROVIDER_NOT_REGISTERED: 'again',
  LISTING_ALREADY_EXISTS: 'final',
  // At the revision that was read: the rental's own stream decides between two runs that read different ones.
  LISTING_UNKNOWN: 'final',
  LISTING_WITHDRAWN: 'final',
  LISTING_FULL: 'again',
  // The number of GPUs of a listing never changes.
  LISTING_TOO_SMALL: 'final',
  LISTING_INVALID: 'final',
  GPU_UNKNOWN: 'again',
  NO_FITTING_OFFER: 'again',
  // As a value it comes from the rental alone, and the maximum of a rental never changes.
  PRICE_ABOVE_MAXIMUM: 'final',
  RESERVATION_UNKNOWN: 'again',
  OFFER_LINE_INVALID: 'final',
  OFFERS_NOT_WITHDRAWN: 'again',
  // Rental
  RENTAL_UNKNOWN: 'again',
  RENTAL_ALREADY_REQUESTED: 'final',
  RENTAL_INVALID: 'final',
  // These two are asked of rentals that were requested or active before, and neither status comes back.
  RENTAL_NOT_REQUESTED: 'final',
  RENTAL_NOT_ACTIVE: 'final',
  RENTAL_NOT_ENDED: 'again',
  RENTAL_NOT_ENDING: 'again',
  RENTAL_JOBS_OPEN: 'again',
  RENTAL_JOBS_FULL: 'again',
  RENTAL_SETTLEMENT_UNBALANCED: 'final',
  DEADLINE_PASSED: 'final',
  // Account and payment
  INSUFFICIENT_FUNDS: 'again',
  AMOUNT_INVALID: 'final',
  HOLD_ALREADY_EXISTS: 'again',
  HOLD_UNKNOWN: 'again',
  HOLD_EXCEEDED: 'again',
  PAYMENT_UNKNOWN: 'again',
  PAYMENT_FINAL: 'final',
  // Job
  JOB_UNKNOWN: 'again',
  JOB_ALREADY_SUBMITTED: 'final',
  JOB_INVALID: 'final',
  JOB_NOT_QUEUED: 'again',
  JOB_NOT_RUNNING: 'again',
  // Asked of attempts that have begun.
  JOB_ATTEMPT_STALE: 'final',
  JOB_FINISHED: 'final',
  JOB_COMMAND_NOT_FOUND: 'final',
  JOB_EXIT_NONZERO: 'final',
  JOB_TIMED_OUT: 'final',
  JOB_MEMORY_EXCEEDED: 'final',
  JOB_OUTPUT_EXCEEDED: 'final',
  JOB_INTERRUPTED: 'final',
  JOB_DISK_EXCEEDED: 'final',
  JOB_ISOLATION_MISSING: 'again',
  JOB_REPORT_INVALID: 'final',
  JOB_STOP_NOT_REQUESTED: 'again',
  JOB_LOST: 'final',
  // Replay and export
  REPLAY_FILE_INVALID: 'final',
  REPLAY_SCHEMA_FOREIGN: 'final',
  REPLAY_SCHEMA_IN_USE: 'again',
  REPLAY_FOLD_FAILED: 'final',
  REPLAY_ROW_INVALID: 'final',
  EXPORT_FOLDER_FOREIGN: 'final',
  EXPORT_FOLDER_DIFFERS: 'final',
  EXPORT_FOLDER_IN_USE: 'again',
  EXPORT_FOLDER_UNWRITABLE: 'again',
  // The platform itself
  CONFIG_INVALID: 'final',
  PORT_TAKEN: 'again',
  DATA_FOLDER_IN_USE: 'again',
  DATA_FOLDER_VERSION: 'final',
  DATA_FOLDER_UNREACHABLE: 'again',
  DATABASE_UNAVAILABLE: 'again',
  DATABASE_UNREACHABLE: 'again',
  DATABASE_FULL: 'again',
  DATABASE_SCHEMA_NEWER: 'again',
  DATABASE_SCHEMA_OLDER: 'again',
  PLATFORM_UNREACHABLE: 'again',
  PATH_UNUSABLE: 'again',
  LOG_NOT_FOUND: 'again',
  LOG_DAMAGED: 'again',
  STREAM_DAMAGED: 'again',
  POSITION_FOREIGN: 'final',
  POSITION_NOT_REACHED: 'again',
  EVENT_INVALID: 'final',
  EVENT_UNREADABLE: 'again',
  EVENT_NOT_FOLDED: 'again',
  PARKED_STREAM_UNKNOWN: 'again',
  PARKED_TASK_UNKNOWN: 'again',
  READ_MODEL_BUILDING: 'again',
  READ_MODEL_DEFECTIVE: 'again',
  POSITION_AHEAD: 'again',
  POSITION_TOO_OLD: 'final',
  CONFLICT_UNRESOLVED: 'again',
  CHAIN_UNAVAILABLE: 'again',
  CHAIN_NODES_DISAGREE: 'again',
  CHAIN_REPLACED: 'again',
  CHAIN_WITHOUT_FAUCET: 'final',
  CHAIN_JOURNAL_BROKEN: 'again',
  QUERY_TOO_COSTLY: 'again',
  TOO_MANY_REQUESTS: 'again',
  ANSWER_TIMED_OUT: 'again',
  ANSWER_TOO_LARGE: 'again',
  INTERNAL: 'again',
}

/** Returns whether a refusal that left no event stays so, whatever happens later. */
export const isFinal = (code: ErrorCode): boolean => refusalSorts[code] === 'final'
