import type { z } from 'zod'

/** Given for a value that the fast way does not take for certain: then the schema itself judges. */
export const unsure: unique symbol = Symbol('unsure')

/** Gives what the schema would give, or `unsure`. Never throws. */
export type Decoder = (value: unknown) => unknown

type Def = Readonly<Record<string, unknown>>
type Check = Readonly<Record<string, unknown>>

const defOf = (schema: unknown): Def => (schema as { readonly _zod: { readonly def: Def } })._zod.def
const checksOf = ({ checks }: Def): readonly Check[] =>
  ((checks ?? []) as readonly { readonly _zod: { readonly def: Check } }[]).map(({ _zod }) => _zod.def)

/** The same for an object that gets a field `type` in front: an event of this type, given the schema of its fields. */
export const eventDecoderOf = (type: string, schema: z.ZodType): Decoder => {
  const def = defOf(schema)
  return (def.type === 'object' ? objectDecoder(def, type) : undefined) ?? (() => unsure)
}

/** A way to decode what a schema mostly meets, several times as fast as the schema: it builds no list of issues and asks each
 *  field once. It takes only what the schema certainly takes, and gives the same; of whatever else it is unsure, also of whole
 *  schemas that have more in them than those of events. (Unlike the schema it freezes nothing.) */
export const decoderOf = (schema: z.ZodType): Decoder => compile(defOf(schema)) ?? (() => unsure)

const compile = (def: Def): Decoder | undefined => {
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

const stringDecoder = (def: Def): Decoder | undefined => {
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

const numberDecoder = (def: Def): Decoder | undefined => {
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

const enumDecoder = ({ entries }: Def): Decoder => {
  const values = new Set(Object.values(entries as Record<string, unknown>))
  return (value) => (typeof value === 'string' && values.has(value) ? value : unsure)
}

const pipeDecoder = (def: Def): Decoder | undefined => {
  const from = compile(defOf(def.in))
  const to = compile(defOf(def.out))
  const transform = def.transform as ((value: unknown, payload: unknown) => unknown) | undefined
  if (!from || !to || !transform || !plain(def)) return undefined
  return (value) => {
    const taken = from(value)
    if (taken === unsure) return unsure
    const payload = { value: taken, issues: [] }
    const given = transform(taken, payload)
    return payload.issues.length === 0 ? to(given) : unsure
  }
}

const arrayDecoder = (def: Def): Decoder | undefined => {
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

/** Of JSON, which has no other objects. */
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype

const recordDecoder = (def: Def): Decoder | undefined => {
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

const objectDecoder = (def: Def, type?: string): Decoder | undefined => {
  if (!plain(def) || def.catchall !== undefined) return undefined
  const decoders: Decoder[] = []
  const keys: string[] = []
  for (const [key, schema] of Object.entries(def.shape as Record<string, unknown>)) {
    const decode = compile(defOf(schema))
    if (!decode || key === '__proto__' || (key === 'type' && type !== undefined)) return undefined
    keys.push(JSON.stringify(key))
    decoders.push(decode)
  }
  // Written out as code, as zod does it too: fields by name are found at once and the object has its shape from the start. In
  // a loop over names this took twice as long. Nothing but the names of our own schemas goes into the code.
  const read = keys.map((key, n) => `const v${n} = d${n}(value[${key}]); if (v${n} === unsure) return unsure`)
  const fields = keys.map((key, n) => `${key}: v${n}`)
  const body = `return (value) => {
    if (!isRecord(value)) return unsure
    ${read.join('\n')}
    return { ${[...(type === undefined ? [] : [`type: ${JSON.stringify(type)}`]), ...fields].join(', ')} }
  }`
  const make = new Function('unsure', 'isRecord', ...decoders.map((_, n) => `d${n}`), body)
  return make(unsure, isRecord, ...decoders) as Decoder
}
