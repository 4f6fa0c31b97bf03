import { historyErrors } from './errors/history.ts'
import { identityErrors } from './errors/identity.ts'
import { jobErrors } from './errors/job.ts'
import { listingErrors } from './errors/listing.ts'
import { moneyErrors } from './errors/money.ts'
import { platformErrors } from './errors/platform.ts'
import { rentalErrors } from './errors/rental.ts'
import { requestErrors } from './errors/request.ts'

/** All refusals and failures of the platform. The meaning of a published code never changes. gateway/ alone maps codes
 *  to transport status codes. */
export const errors = {
  ...identityErrors,
  ...listingErrors,
  ...rentalErrors,
  ...moneyErrors,
  ...jobErrors,
  ...historyErrors,
  ...platformErrors,
  ...requestErrors,
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
