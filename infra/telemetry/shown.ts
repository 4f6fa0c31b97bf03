// What a line of the log shows of a value: its texts come from nodes, databases, jobs and clients, and may have
// megabytes, and so may its lists and the causes of an error.
import { shortText } from '../../domain/text.ts'

/** The most that the fields and the message of a line have as JSON. */
const lineBytesMax = 32 * 1024
const textCharactersMax = 2_000
const stackCharactersMax = 8_000
const entriesMax = 50
const depthMax = 6
const causesMax = 8
/** A character is six as JSON at most. */
const escapedMax = 6
/** A name or an end that is left out, and what JSON writes around each value. */
const aroundBytes = 60

type ErrorLike = { readonly message: string; readonly stack: string; readonly cause?: unknown }
const isError = (value: unknown): value is ErrorLike =>
  typeof value === 'object' &&
  value !== null &&
  typeof (value as Partial<ErrorLike>).message === 'string' &&
  typeof (value as Partial<ErrorLike>).stack === 'string'

/** Returns what is shown of the arguments of one call of the log: all of it together has at most `lineBytesMax`. */
export const shownInLine = (given: readonly unknown[]): unknown[] => {
  const [first, ...more] = given
  const error = isError(first) ? first : (first as { readonly err?: unknown } | null | undefined)?.err
  const words = more.length === 0 && isError(error) ? [error.message] : more
  const show = createShow()
  // The message comes first: fields may use up the line.
  const shownWords = words.map((word) => show(word))
  return [isError(first) ? { err: show(first) } : show(first), ...shownWords]
}

const createShow = () => {
  let left = lineBytesMax

  const textOf = (text: string, charactersMax = textCharactersMax): string => {
    const room = Math.max(0, left - aroundBytes)
    let shown = shortText(text, Math.min(charactersMax, room))
    if (Buffer.byteLength(JSON.stringify(shown)) > room) shown = shortText(text, Math.floor(room / escapedMax))
    left -= Buffer.byteLength(JSON.stringify(shown)) + aroundBytes
    return shown
  }

  /** Returns an object with as many of the fields as have room. */
  const fieldsOf = (names: Iterable<string>, fieldOf: (name: string) => unknown, depth: number) => {
    const shown: Record<string, unknown> = {}
    let count = 0
    for (const name of names) {
      count += 1
      if (count > entriesMax || left <= 0) {
        shown['…'] = 'there is more'
        break
      }
      const value = show(fieldOf(name), depth + 1)
      // Not by assignment: a name may be __proto__. Two long names may have the same beginning.
      Object.defineProperty(shown, textOf(name), { value, enumerable: true, configurable: true, writable: true })
    }
    return shown
  }

  const listOf = (items: readonly unknown[], depth: number): unknown[] => {
    const shown: unknown[] = []
    for (const item of items) {
      if (shown.length === entriesMax || left <= 0) return [...shown, `… (${items.length} items)`]
      shown.push(show(item, depth + 1))
    }
    return shown
  }

  const errorOf = (error: ErrorLike, depth: number) => {
    const causes: ErrorLike[] = []
    for (let cause: unknown = error; isError(cause) && causes.length < causesMax; cause = cause.cause)
      if (causes.includes(cause)) break
      else causes.push(cause)
    const { errors, ...own } = error as ErrorLike & { readonly errors?: unknown }
    const message = textOf(causes.map((cause) => shortText(cause.message)).join(': '))
    return {
      type: textOf(String(error.constructor?.name ?? 'Error')),
      message,
      ...fieldsOf(
        Object.keys(own).filter((name) => !['message', 'stack', 'cause', 'type'].includes(name)),
        (name) => (own as Record<string, unknown>)[name],
        depth,
      ),
      ...(Array.isArray(errors) ? { aggregateErrors: listOf(errors, depth) } : {}),
      stack: textOf(causes.map(shortStack).join('\ncaused by: '), stackCharactersMax),
    }
  }

  const show = (value: unknown, depth = 0): unknown => {
    if (typeof value === 'string') return textOf(value)
    left -= aroundBytes
    if (typeof value !== 'object' || value === null) return value
    if (depth > depthMax) return '…'
    if (isError(value)) return errorOf(value, depth)
    if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`
    if (Array.isArray(value)) return listOf(value, depth)
    if ('toJSON' in value && typeof value.toJSON === 'function') return show(value.toJSON(), depth + 1)
    return fieldsOf(Object.keys(value), (name) => (value as Record<string, unknown>)[name], depth)
  }
  return show
}

/** Returns the stack with its message cut, so that a long one leaves room for the calls below. */
const shortStack = ({ message, stack }: ErrorLike): string => {
  const short = shortText(message)
  return short === message ? stack : stack.replace(message, () => short)
}
