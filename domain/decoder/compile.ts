import type { z } from 'zod'

// The one file that reads zod's internals and generates code; decoder.ts has the figure that justifies it. The version
// of zod is pinned in package.json. compile.spec.ts compares each answer with the schema's own, and fails when the
// decoders of events become unsure.

/** Returned for a value that only the schema itself can judge. */
export const unsure: unique symbol = Symbol('unsure')

/** Returns what the schema would return, or `unsure`. */
export type CompiledDecoder = (value: unknown) => unknown

type Def = Readonly<Record<string, unknown>>
type Check = Readonly<Record<string, unknown>>

const defOf = (schema: unknown): Def => (schema as { readonly _zod: { readonly def: Def } })._zod.def
const checksOf = ({ checks }: Def): readonly Check[] =>
  ((checks ?? []) as readonly { readonly _zod: { readonly def: Check } }[]).map(({ _zod }) => _zod.def)

/** Returns a decoder that accepts only values that the schema accepts, and decodes them to the same value. It
 *  is unsure of every other value, and of every value of a schema that uses more of zod than event schemas do. With
 *  `type`, the schema is one of an object, and the decoded object has a field `type` in front. Unlike the schema it
 *  freezes nothing. Where zod's internals are not as expected, or code may not be generated, it is unsure of
 *  everything. */
export const compileDecoder = (schema: z.ZodType, type?: string): CompiledDecoder => {
  try {
    const def = defOf(schema)
    if (type === undefined) return compile(def) ?? alwaysUnsure
    return (def.type === 'object' ? objectDecoder(def, type) : undefined) ?? alwaysUnsure
  } catch {
    return alwaysUnsure
  }
}

const alwaysUnsure: CompiledDecoder = () => unsure

const compile = (def: Def): CompiledDecoder | undefined => {
  switch (def.type) {
    case 'string':
      return stringDecoder(def)
    case 'number':
      return numberDecoder(def)
    case 'bigint':
      return plain(def) && ((value) => (typeof value === 'bigint' ? value : unsure))
    case 'enum':
      return enumDecoder(def)
    case 'readonly':
      return compile(defOf(def.innerType))
    case 'pipe':
      return pipeDecoder(def)
    case 'array':
      return arrayDecoder(def)
    case 'record':
      return recordDecoder(def)
    case 'object':
      return objectDecoder(def)
    default:
      return undefined
  }
}

const plain = (def: Def): true | undefined => (checksOf(def).length === 0 && def.check === undefined ? true : undefined)

const stringDecoder = (def: Def): CompiledDecoder | undefined => {
  const patterns: RegExp[] = []
  let charactersMin = 0
  for (const check of def.check === undefined ? checksOf(def) : [def, ...checksOf(def)]) {
    if (check.check === 'string_format' && check.pattern instanceof RegExp && !/[gy]/.test(check.pattern.flags))
      patterns.push(check.pattern)
    else if (check.check === 'min_length') charactersMin = Math.max(charactersMin, Number(check.minimum))
    else return undefined
  }
  const [pattern] = patterns
  if (!pattern) return (value) => (typeof value === 'string' && value.length >= charactersMin ? value : unsure)
  return (value) =>
    typeof value === 'string' && value.length >= charactersMin && patterns.every((each) => each.test(value))
      ? value
      : unsure
}

const numberDecoder = (def: Def): CompiledDecoder | undefined => {
  const isInteger = def.check === 'number_format' && def.format === 'safeint'
  if (def.check !== undefined && !isInteger) return undefined
  let least = Number.NEGATIVE_INFINITY
  for (const check of checksOf(def)) {
    if (check.check !== 'greater_than' || check.inclusive !== true || typeof check.value !== 'number') return undefined
    least = Math.max(least, check.value)
  }
  return (value) =>
    typeof value === 'number' && (isInteger ? Number.isSafeInteger(value) : Number.isFinite(value)) && value >= least
      ? value
      : unsure
}

const enumDecoder = ({ entries }: Def): CompiledDecoder => {
  const values = new Set(Object.values(entries as Record<string, unknown>))
  return (value) => (typeof value === 'string' && values.has(value) ? value : unsure)
}

const pipeDecoder = (def: Def): CompiledDecoder | undefined => {
  const from = compile(defOf(def.in))
  const to = compile(defOf(def.out))
  const transform = def.transform as ((value: unknown, payload: unknown) => unknown) | undefined
  if (!from || !to || !transform || !plain(def)) return undefined
  return (value) => {
    const input = from(value)
    if (input === unsure) return unsure
    const payload = { value: input, issues: [] }
    const output = transform(input, payload)
    return payload.issues.length === 0 ? to(output) : unsure
  }
}

const arrayDecoder = (def: Def): CompiledDecoder | undefined => {
  const element = compile(defOf(def.element))
  if (!element || !plain(def)) return undefined
  return (value) => {
    if (!Array.isArray(value)) return unsure
    const decoded: unknown[] = []
    for (const each of value) {
      const one = element(each)
      if (one === unsure) return unsure
      decoded.push(one)
    }
    return decoded
  }
}

/** Returns whether a value is a JSON object: JSON has no objects of another prototype. */
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

const recordDecoder = (def: Def): CompiledDecoder | undefined => {
  const keys = defOf(def.keyType)
  const values = compile(defOf(def.valueType))
  if (keys.type !== 'string' || !plain(keys) || !values || !plain(def)) return undefined
  return (value) => {
    if (!isRecord(value)) return unsure
    const decoded: Record<string, unknown> = {}
    for (const key of Object.keys(value)) {
      const one = key === '__proto__' ? unsure : values(value[key])
      if (one === unsure) return unsure
      decoded[key] = one
    }
    return decoded
  }
}

const objectDecoder = (def: Def, type?: string): CompiledDecoder | undefined => {
  if (!plain(def) || def.catchall !== undefined) return undefined
  const decoders: CompiledDecoder[] = []
  const keys: string[] = []
  const optional: boolean[] = []
  for (const [key, schema] of Object.entries(def.shape as Record<string, unknown>)) {
    const field = defOf(schema)
    const isOptional = field.type === 'optional' && plain(field) === true
    const decode = compile(isOptional ? defOf(field.innerType) : field)
    if (!decode || key === '__proto__' || (key === 'type' && type !== undefined)) return undefined
    // What is left out is added to the object at its end: there it must stand in the schema too.
    if (!isOptional && optional.at(-1)) return undefined
    keys.push(JSON.stringify(key))
    decoders.push(decode)
    optional.push(isOptional)
  }
  // Generated code, as in zod itself: it reads fields by constant names and creates the object in its final shape. A
  // loop over the names took twice as long. The code contains nothing but the names of our own schemas.
  const read = keys.map((key, n) =>
    optional[n]
      ? `let v${n}; if (hasOwn(value, ${key})) { v${n} = d${n}(value[${key}]); if (v${n} === unsure) return unsure }`
      : `const v${n} = d${n}(value[${key}]); if (v${n} === unsure) return unsure`,
  )
  const fields = keys.flatMap((key, n) => (optional[n] ? [] : [`${key}: v${n}`]))
  const added = keys.flatMap((key, n) => (optional[n] ? [`if (hasOwn(value, ${key})) decoded[${key}] = v${n}`] : []))
  const body = `return (value) => {
    if (!isRecord(value)) return unsure
    ${read.join('\n')}
    const decoded = { ${[...(type === undefined ? [] : [`type: ${JSON.stringify(type)}`]), ...fields].join(', ')} }
    ${added.join('\n')}
    return decoded
  }`
  const make = new Function('unsure', 'isRecord', 'hasOwn', ...decoders.map((_, n) => `d${n}`), body)
  return make(unsure, isRecord, Object.hasOwn, ...decoders) as CompiledDecoder
}
