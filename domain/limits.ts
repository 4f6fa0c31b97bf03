// What new events and commands may hold. A limit is metadata beside its field (`limit` in the meta of a schema, see
// events.ts): it is in force where something is decided and written, never where a stored event is read. So a limit may
// change without a new version of an event, and an event that was stored above a later limit stays readable.
import type { z } from 'zod'
import { type Refusal, refuse } from './errors.ts'
import { isStorable } from './text.ts'

/** The limit of one field. Characters are UTF-16 code units, as `length` counts them; bytes are those of the whole field
 *  as JSON in UTF-8; times are compared as ISO 8601 text. A property that is absent bounds nothing. */
export type Limit = {
  readonly charactersMin?: number
  readonly charactersMax?: number
  readonly min?: bigint | number
  readonly max?: bigint | number
  readonly earliest?: string
  readonly latest?: string
  /** Items of a list, or entries of a record. */
  readonly itemsMax?: number
  readonly bytesMax?: number
}

/** The largest whole number of GraphQL's Int, and of an `integer` column. */
export const int32Max = 2_147_483_647
/** The largest whole number of a `bigint` column. */
export const int64Max = 2n ** 63n - 1n
/** The largest amount that a contract can name: 78 digits. */
export const uint256Max = 2n ** 256n - 1n
/** For texts in an index of the database: an entry of 200 characters has at most 800 bytes there, of about 2,700. */
export const textCharactersMax = 200
export const idCharactersMax = 100

/** The largest id of a chain that every wallet accepts: twice the id and 36 are a safe integer in old signatures. */
export const chainIdMax = 4_503_599_627_370_476

const givenCharactersMax = 40

/** Returns a text as an error may show it: its first 40 characters, and how many there are. */
export const shortened = (text: string): string => {
  const shown = text.slice(0, givenCharactersMax).toWellFormed().replaceAll('\0', '\u2400')
  return text.length <= givenCharactersMax ? shown : `${shown}… (${text.length} characters)`
}

const figure = (value: bigint | number): string => {
  if (value === uint256Max) return '2^256 - 1'
  return value === int64Max ? '2^63 - 1' : value.toLocaleString('en-US')
}

const range = (min: bigint | number | undefined, max: bigint | number | undefined, unit = ''): string[] => {
  if (min === undefined) return max === undefined ? [] : [`at most ${figure(max)}${unit}`]
  return [max === undefined ? `at least ${figure(min)}${unit}` : `${figure(min)} to ${figure(max)}${unit}`]
}

/** Returns a limit in words: "1 to 200 characters". Empty for one that bounds nothing. */
export const limitWords = (limit: Limit): string =>
  [
    ...range(limit.charactersMin, limit.charactersMax, ' characters'),
    ...range(limit.min, limit.max),
    ...(limit.latest === undefined ? [] : [`${limit.earliest ?? ''} to ${limit.latest}`]),
    ...range(undefined, limit.itemsMax, ' items'),
    ...range(undefined, limit.bytesMax, ' bytes as JSON'),
  ].join(', ')

/** Returns the limit that stands beside a field; undefined when none does. */
export const limitOf = (schema: z.ZodType): Limit | undefined => schema.meta()?.limit as Limit | undefined

/** A value that exceeds a limit: where it is, what may be there, and what was given, shortened. */
type Exceeded = { readonly path: string; readonly takes: string; readonly given: string }

/** `sizes` leaves out what is too small: for commands, whose `decide` refuses that with its own code. */
type Extent = 'all' | 'sizes'
type Check = (value: unknown, path: string, extent: Extent) => Exceeded | undefined

type Def = { readonly type: string } & Readonly<Record<string, z.ZodType>>
const defOf = (schema: z.ZodType): Def => (schema as unknown as { readonly _zod: { readonly def: Def } })._zod.def

/** Returns what a limit has against a text, the longest first: nothing looks into a text that is too long. */
const textProblem = (limit: Limit, text: string, extent: Extent): string | undefined => {
  if (limit.charactersMax !== undefined && text.length > limit.charactersMax) return limitWords(limit)
  if (!isStorable(text)) return 'text without NUL and half surrogate pairs'
  if (extent === 'sizes') return undefined
  if (text.length < (limit.charactersMin ?? 0)) return limitWords(limit)
  if (limit.earliest !== undefined && text < limit.earliest) return limitWords(limit)
  return limit.latest !== undefined && text > limit.latest ? limitWords(limit) : undefined
}

const numberProblem = ({ min, max, ...rest }: Limit, value: bigint | number, extent: Extent): string | undefined => {
  const isTooLarge = max !== undefined && value > max
  // JSON has no -0: it would be stored as another number.
  const isTooSmall = extent === 'all' && ((min !== undefined && value < min) || Object.is(value, -0))
  return isTooLarge || isTooSmall ? limitWords({ min, max, ...rest } as Limit) : undefined
}

/** Checks a value that has no fields. Other types than text and numbers are left to the schema. */
const leafCheck =
  (limit: Limit): Check =>
  (value, path, extent) => {
    const takes =
      typeof value === 'string'
        ? textProblem(limit, value, extent)
        : typeof value === 'bigint' || typeof value === 'number'
          ? numberProblem(limit, value, extent)
          : undefined
    return takes === undefined
      ? undefined
      : { path, takes, given: Object.is(value, -0) ? '-0' : shortened(String(value)) }
  }

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

const encoder = new TextEncoder()

/** Wraps the check of a list or record: first the number of its items, then each of them, last the bytes of all. */
const sizeCheck =
  ({ itemsMax, bytesMax }: Limit, checkItems: Check): Check =>
  (value, path, extent) => {
    if (!isObject(value)) return undefined
    if (itemsMax !== undefined) {
      const items = Array.isArray(value) ? value.length : Object.keys(value).length
      if (items > itemsMax) return { path, takes: limitWords({ itemsMax }), given: `${items} items` }
    }
    const problem = checkItems(value, path, extent)
    if (problem || bytesMax === undefined) return problem
    const bytes = encoder.encode(JSON.stringify(value)).length
    return bytes > bytesMax ? { path, takes: limitWords({ bytesMax }), given: `${bytes} bytes` } : undefined
  }

const objectCheck = (shape: Readonly<Record<string, z.ZodType>>): Check => {
  const checks = Object.entries(shape).map(([name, schema]) => [name, checkOf(schema)] as const)
  return (value, path, extent) => {
    if (!isObject(value)) return undefined
    for (const [name, check] of checks) {
      const problem = check(value[name], path === '' ? name : `${path}.${name}`, extent)
      if (problem) return problem
    }
    return undefined
  }
}

const arrayCheck = (element: Check): Check => {
  return (value, path, extent) => {
    if (!Array.isArray(value)) return undefined
    for (const [index, item] of value.entries()) {
      const problem = element(item, `${path}[${index}]`, extent)
      if (problem) return problem
    }
    return undefined
  }
}

const recordCheck = (key: Check, item: Check): Check => {
  return (value, path, extent) => {
    if (!isObject(value)) return undefined
    for (const [name, each] of Object.entries(value)) {
      const problem = key(name, `${path} (name)`, extent) ?? item(each, `${path}.${name}`, extent)
      if (problem) return problem
    }
    return undefined
  }
}

/** Returns the check of a schema. Throws for a kind of schema that it does not know: a limit below it would be ignored. */
const checkOf = (schema: z.ZodType): Check => {
  const limit = limitOf(schema) ?? {}
  const def = defOf(schema)
  const inner = (name: string): Check => checkOf(def[name] as z.ZodType)
  switch (def.type) {
    case 'object':
      return sizeCheck(limit, objectCheck(def.shape as unknown as Readonly<Record<string, z.ZodType>>))
    case 'array':
      return sizeCheck(limit, arrayCheck(inner('element')))
    case 'record':
      return sizeCheck(limit, recordCheck(inner('keyType'), inner('valueType')))
    case 'readonly':
    case 'optional':
    case 'nullable':
      return wrapperCheck(limit, inner('innerType'))
    case 'string':
    case 'number':
    case 'bigint':
    case 'enum':
    case 'boolean':
    case 'literal':
    case 'pipe':
      return leafCheck(limit)
    default:
      throw new Error(`A limit cannot be checked within a schema of type ${def.type}`)
  }
}

const nothing: Check = () => undefined

/** Checks the limit of a wrapper and of what it wraps: either may have one. */
const wrapperCheck = (limit: Limit, check: Check): Check => {
  const [ofValue, ofItems] = [leafCheck(limit), sizeCheck(limit, nothing)]
  return (value, path, extent) =>
    ofValue(value, path, extent) ?? ofItems(value, path, extent) ?? check(value, path, extent)
}

const checks = new WeakMap<z.ZodType, Check>()

const cachedCheckOf = (schema: z.ZodType): Check => {
  const known = checks.get(schema)
  if (known) return known
  const check = checkOf(schema)
  checks.set(schema, check)
  return check
}

const refuseExceeded = (exceeded: Exceeded | undefined): Refusal | undefined =>
  exceeded && refuse('INPUT_INVALID', { [exceeded.path]: exceeded.given, takes: exceeded.takes })

/** Refuses INPUT_INVALID for a value that exceeds a limit of its schema, with the path of the field, what it takes and
 *  what was given. */
export const refuseAboveLimits = (schema: z.ZodType, value: unknown): Refusal | undefined =>
  refuseExceeded(cachedCheckOf(schema)(value, '', 'all'))

/** Refuses INPUT_INVALID for a command with a field that is too large. What is too small is left to `decide`. */
export const refuseOversized = (
  fields: Readonly<Record<string, z.ZodType>>,
  command: Readonly<Record<string, unknown>>,
): Refusal | undefined => {
  for (const [name, value] of Object.entries(command)) {
    const schema = fields[name]
    const exceeded = schema && cachedCheckOf(schema)(value, name, 'sizes')
    if (exceeded) return refuseExceeded(exceeded)
  }
  return undefined
}
