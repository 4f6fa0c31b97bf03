export type Detail = { readonly name: string; readonly value: string }
type CodedAnswer = {
  readonly code: string
  readonly message: string
  readonly hint?: string | undefined
  readonly details?: readonly Detail[] | undefined
}

/** An error that the gateway returned instead of data, or the Error member of a mutation's payload. Its message is one
 *  line for people: code, message, details, hint. */
export class AnswerError extends Error {
  readonly code: string
  readonly details: Readonly<Record<string, string>>
  constructor({ code, message, hint, details = [] }: CodedAnswer) {
    const named = details.map(({ name, value }) => `${name}: ${value}`).join(', ')
    super([`${code}: ${message}`, named && `(${named})`, hint].filter(Boolean).join(' '))
    this.name = 'AnswerError'
    this.code = code
    this.details = Object.fromEntries(details.map(({ name, value }) => [name, value]))
  }
}
