/** All refusals and failures of the platform. The meaning of a published code never changes. gateway/ alone maps codes
 *  to transport status codes. */
export const errors = {
  // Identity and input
  NOT_SIGNED_IN: {
    message: 'This needs a signed-in wallet.',
    hint: 'Call signIn and send the token as "Authorization: Bearer …".',
  },
  NOT_YOURS: { message: 'This belongs to another user.', hint: 'Sign in with the wallet that owns it.' },
  PRIVILEGE_NEEDED: {
    message: 'This needs a privilege that your wallet does not have.',
    hint: 'The operator of the platform grants it by naming the wallet in OPERATORS or ANALYSTS.',
  },
  SIGN_IN_NONCE_UNKNOWN: {
    message: 'The sign-in nonce is unknown, used or expired.',
    hint: 'Request a new signInMessage and sign it.',
  },
  SIGN_IN_SIGNATURE_INVALID: {
    message: 'The signature does not match the sign-in message.',
    hint: 'Sign the message without changing it, with the wallet that it names.',
  },
  TOKEN_INVALID: { message: 'The token is invalid or has expired.', hint: 'Sign in again.' },
  INPUT_INVALID: { message: 'The input is not valid.', hint: 'See the details for the field and its valid values.' },
  IDEMPOTENCY_KEY_REUSED: {
    message: 'This idempotency key was used for another request.',
    hint: 'Use a new key for a new request, and the same key only to repeat a request.',
  },

  // Provider and listing
  PROVIDER_ALREADY_REGISTERED: {
    message: 'This provider is already registered.',
    hint: 'There is nothing to do; renameProvider changes the name.',
  },
  PROVIDER_NOT_REGISTERED: {
    message: 'This wallet is not a registered provider.',
    hint: 'Call registerProvider first.',
  },
  LISTING_ALREADY_EXISTS: {
    message: 'This listing already exists.',
    hint: 'Change its price, or withdraw it and create a new listing.',
  },
  LISTING_UNKNOWN: { message: 'There is no such listing.', hint: 'Search listings for one that is open.' },
  LISTING_WITHDRAWN: { message: 'The provider has withdrawn this listing.', hint: 'Search listings for another one.' },
  LISTING_FULL: {
    message: 'The listing does not have enough free GPUs; other rentals have reserved them.',
    hint: 'Ask for fewer GPUs or take another listing.',
  },
  LISTING_INVALID: {
    message: 'A listing needs at least one GPU and a price above zero.',
    hint: 'See the details for the field.',
  },
  GPU_UNKNOWN: { message: 'No listing has ever offered this GPU.', hint: 'See the details for the models on offer.' },
  NO_FITTING_OFFER: {
    message: 'No open listing fits the request.',
    hint: 'Raise the price, ask for fewer GPUs, or try again later.',
  },
  PRICE_ABOVE_MAXIMUM: {
    message: 'The price is above the given maximum.',
    hint: 'Raise maxPricePerGpuHour or take another listing.',
  },
  RESERVATION_UNKNOWN: {
    message: 'The listing has no such reservation.',
    hint: 'It was freed before, or never made.',
  },
  OFFER_LINE_INVALID: {
    message: 'This line of the offer file cannot be read.',
    hint: 'See the details for the line and the column; the other lines were imported.',
  },

  // Rental
  RENTAL_UNKNOWN: { message: 'There is no such rental.', hint: 'Check the id.' },
  RENTAL_ALREADY_REQUESTED: {
    message: 'This rental was already requested.',
    hint: 'Read it instead of requesting it again.',
  },
  RENTAL_INVALID: {
    message: 'A rental needs at least one GPU, one second and a maximum price above zero.',
    hint: 'See the details for the field.',
  },
  RENTAL_NOT_REQUESTED: {
    message: 'The rental is not waiting to be activated or rejected.',
    hint: 'It was already activated or rejected, or never requested.',
  },
  RENTAL_NOT_ACTIVE: { message: 'The rental is not active.', hint: 'Rent a GPU first, or look at its status.' },
  RENTAL_NOT_ENDED: { message: 'The rental has not ended, or is already settled.', hint: 'End it first.' },
  RENTAL_SETTLEMENT_UNBALANCED: {
    message: 'The invoice lines do not add up to what was charged.',
    hint: 'This is a defect; nothing was settled.',
  },
  DEADLINE_PASSED: { message: 'The step was taken after its deadline.', hint: 'Send a new request.' },

  // Account and payment
  INSUFFICIENT_FUNDS: {
    message: 'The available balance is lower than what must be held.',
    hint: 'Deposit more, or rent for a shorter time.',
  },
  AMOUNT_INVALID: { message: 'The amount must be above zero.', hint: 'Give a positive amount.' },
  HOLD_ALREADY_EXISTS: { message: 'This hold already exists.', hint: 'Capture or release it.' },
  HOLD_UNKNOWN: { message: 'There is no such open hold.', hint: 'It was released or captured before, or never made.' },
  HOLD_EXCEEDED: {
    message: 'The capture is larger than what is left of the hold.',
    hint: 'Capture no more than the remainder.',
  },
  PAYMENT_UNKNOWN: { message: 'There is no such payment.', hint: 'Wait until the watcher has seen the transaction.' },
  PAYMENT_FINAL: { message: 'This payment is final and cannot change.', hint: 'There is nothing to do.' },

  // Job
  JOB_UNKNOWN: { message: 'There is no such job.', hint: 'Check the id.' },
  JOB_ALREADY_SUBMITTED: {
    message: 'This job was already submitted.',
    hint: 'Read it instead of submitting it again.',
  },
  JOB_INVALID: { message: 'The job description is not valid.', hint: 'See the details for the field.' },
  JOB_NOT_QUEUED: { message: 'The job is not waiting to be started.', hint: 'Look at its status.' },
  JOB_NOT_RUNNING: { message: 'The job is not running.', hint: 'Look at its status.' },
  JOB_ATTEMPT_STALE: {
    message: 'This report comes from an attempt that is over.',
    hint: 'Only the current attempt may report.',
  },
  JOB_FINISHED: { message: 'The job has finished.', hint: 'Submit a new one.' },
  JOB_COMMAND_NOT_FOUND: {
    message: 'The command of the job does not exist on the cluster.',
    hint: 'Check the name of the program and the files sent with the job.',
  },
  JOB_EXIT_NONZERO: { message: 'The job ended with an exit code other than 0.', hint: 'Read its log.' },
  JOB_TIMED_OUT: { message: 'The job ran longer than its timeout and was stopped.', hint: 'Give it a longer timeout.' },
  JOB_MEMORY_EXCEEDED: {
    message: 'The job used more memory than its limit and was stopped.',
    hint: 'Raise memoryMib, or use less.',
  },
  JOB_OUTPUT_EXCEEDED: { message: 'The job printed more than its log can hold and was stopped.', hint: 'Print less.' },
  JOB_INTERRUPTED: {
    message: 'The job was lost with its cluster, and no attempt is left.',
    hint: 'Submit it again.',
  },

  // Replay and export
  REPLAY_FILE_INVALID: {
    message: 'This file exports no replay that can be run.',
    hint: 'See the details; docs/replaying.md shows what such a file exports.',
  },
  REPLAY_SCHEMA_FOREIGN: {
    message: 'This database schema was not made by a replay and is left unchanged.',
    hint: 'Give another name with --schema.',
  },
  REPLAY_SCHEMA_IN_USE: {
    message: 'The previous result of this replay cannot be replaced.',
    hint: 'See the details for the reason, or give another name with --schema.',
  },
  REPLAY_FOLD_FAILED: {
    message: 'The replay stopped at an event that its fold cannot process; the previous result was kept.',
    hint: 'See the details for the event and the error of the fold.',
  },
  REPLAY_ROW_INVALID: {
    message: 'A fold wrote a row that does not fit its table.',
    hint: 'See the details for the column and its valid values.',
  },
  EXPORT_FOLDER_FOREIGN: {
    message: 'The folder contains something other than an export.',
    hint: 'Give an empty folder, or one that does not exist yet.',
  },
  EXPORT_FOLDER_DIFFERS: {
    message: 'The folder contains an export that differs from this one.',
    hint: 'Continue as the details say, or give another folder.',
  },
  EXPORT_FOLDER_IN_USE: {
    message: 'Another export is writing into this folder.',
    hint: 'Wait until it has finished, or give another folder.',
  },
  EXPORT_FOLDER_UNWRITABLE: {
    message: 'The export folder cannot be written.',
    hint: 'See the details. The files written so far are complete, and the next run continues from there.',
  },

  // The platform itself
  CONFIG_INVALID: {
    message: 'A setting is not valid.',
    hint: 'See the details for the variable, its value and its valid values.',
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
    hint: 'Set DATA_DIR to a folder that can be written and entered.',
  },
  DATABASE_UNAVAILABLE: {
    message: 'The database does not answer.',
    hint: 'The platform tries again; nothing was lost. Repeat the request with the same idempotency key.',
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
  LOG_NOT_FOUND: {
    message: 'There is no event log here yet.',
    hint: 'Start the platform once, or set DATA_DIR or DATABASE_URL to where its log is.',
  },
  POSITION_FOREIGN: {
    message: 'This position belongs to another event store.',
    hint: 'Use a position that this store returned.',
  },
  POSITION_NOT_REACHED: {
    message: 'The read model has not reached this position in time.',
    hint: 'Try again in a moment.',
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
  PARKED_STREAM_UNKNOWN: {
    message: 'The read model has no such parked stream.',
    hint: 'Query projections for the parked streams.',
  },
  READ_MODEL_BUILDING: {
    message: 'This read model is being built for the first time and cannot be queried yet.',
    hint: 'See the details, or /status, for its progress, and try again later.',
  },
  CONFLICT_UNRESOLVED: {
    message: 'Too many other requests changed the same thing at the same time.',
    hint: 'Repeat the request with the same idempotency key.',
  },
  CHAIN_UNAVAILABLE: { message: 'The chain does not answer.', hint: 'The platform tries again; nothing was lost.' },
  CHAIN_JOURNAL_BROKEN: {
    message: 'The journal of the embedded chain cannot be replayed.',
    hint: 'Restore the data folder from a backup, or set DATA_DIR to a new folder.',
  },
  INTERNAL: {
    message: 'An unexpected error occurred.',
    hint: 'Repeat the request; if the error remains, report the correlation id.',
  },
} as const satisfies Record<string, { message: string; hint: string }>

export type ErrorCode = keyof typeof errors
export type Details = Readonly<Record<string, string>>

/** An expected refusal. A value, never thrown. */
export type Refusal = { readonly refused: ErrorCode; readonly details: Details }

/** Returns a refusal as a value. */
export const refuse = (code: ErrorCode, details: Details = {}): Refusal => ({ refused: code, details })

/** Returns whether an answer is a refusal. */
export const isRefusal = (answer: unknown): answer is Refusal =>
  typeof answer === 'object' && answer !== null && 'refused' in answer && typeof answer.refused === 'string'

/** Returns one line for people: message, details, hint. */
export const describeError = (code: ErrorCode, details: Details = {}): string => {
  const named = Object.entries(details).map(([name, value]) => `${name}: ${value}`)
  const { message, hint } = errors[code]
  return [message, named.length > 0 ? `(${named.join(', ')})` : '', hint].filter(Boolean).join(' ')
}

/** A fault that a person must act on, such as a taken port or a lost database. Thrown, and shown with its code. */
export class Failure extends Error {
  readonly code: ErrorCode
  readonly details: Details
  constructor(code: ErrorCode, details: Details = {}, cause?: unknown) {
    super(describeError(code, details), cause === undefined ? undefined : { cause })
    this.name = 'Failure'
    this.code = code
    this.details = details
  }
}

/** Returns true for a Failure with this code. */
export const isFailure = (error: unknown, code: ErrorCode): error is Failure =>
  error instanceof Failure && error.code === code

/** Narrows a state to one of its statuses. Throws when the status is another one: such a history is corrupt. */
export const mustBe = <State extends { status: string }, Status extends State['status']>(
  state: State,
  ...statuses: Status[]
): State & { readonly status: Status } => {
  if (!statuses.some((status) => status === state.status))
    throw new Error(`History is corrupt: status is ${state.status}, expected ${statuses.join(' or ')}`)
  return state as State & { readonly status: Status }
}
