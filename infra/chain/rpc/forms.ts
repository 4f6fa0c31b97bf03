// What answers look like. A check stops at the first thing that is wrong: an answer may be wrong in a million places.

/** What is wrong, and the names and numbers that lead there. */
export type Wrong = { readonly path: readonly (string | number)[]; readonly why: string }

/** Returns what is wrong first with a value; undefined where nothing is. */
export type Form = (value: unknown) => Wrong | undefined

/** Makes the form of texts in hexadecimal digits, with 0x before them. */
const hex =
  (why: string, isLong: (digits: number) => boolean): Form =>
  (value) =>
    typeof value === 'string' && isLong(value.length - 2) && /^0x/i.test(value) && !/[^0-9a-f]/i.test(value.slice(2))
      ? undefined
      : { path: [], why }

/** Makes the form of so many hexadecimal digits. */
export const digits = (count: number): Form => hex('not hex', (length) => length === count)
export const hash = digits(64)
export const address = digits(40)
/** 256 bits at most. */
export const quantity = hex('not a quantity', (length) => length >= 1 && length <= 64)

/** Makes the form of bytes, `max` at most. */
export const bytesUpTo = (max: number): Form => hex('not bytes', (length) => length % 2 === 0 && length <= 2 * max)
export const bytes = bytesUpTo(Number.POSITIVE_INFINITY)

/** Makes the form of what may be null or absent. */
export const maybe =
  (form: Form): Form =>
  (value) =>
    value === null || value === undefined ? undefined : form(value)

/** Makes the form of a list, of `max` items at most. */
export const listOf =
  (item: Form, max = Number.POSITIVE_INFINITY): Form =>
  (value) => {
    if (!Array.isArray(value)) return { path: [], why: 'not a list' }
    if (value.length > max) return { path: [], why: `more than ${max} items` }
    for (let index = 0; index < value.length; index += 1) {
      const wrong = item(value[index])
      if (wrong) return { ...wrong, path: [index, ...wrong.path] }
    }
    return undefined
  }

/** Makes the form of an object with these fields; it may have others. */
export const objectOf = (fields: Readonly<Record<string, Form>>): Form => {
  const forms = Object.entries(fields)
  return (value) => {
    if (typeof value !== 'object' || value === null) return { path: [], why: 'not an object' }
    for (const [name, form] of forms) {
      const wrong = form((value as Readonly<Record<string, unknown>>)[name])
      if (wrong) return { ...wrong, path: [name, ...wrong.path] }
    }
    return undefined
  }
}
