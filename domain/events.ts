import { z } from 'zod'
import { type ErrorCode, errors, Failure } from './errors.ts'
import { assets } from './money.ts'

/** How one event type is written and read: the current version and schema, and a step up from each older version. */
export type EventSchema<Fields> = {
  readonly version: number
  readonly schema: z.ZodType<Fields, unknown>
  /** `upcasts[1]` turns the stored fields of version 1 into those of version 2, and so on. Stored events never change. */
  readonly upcasts?: Readonly<Record<number, (data: Record<string, unknown>) => Record<string, unknown>>>
}

type FieldsOf<Event, Type> = Omit<Extract<Event, { type: Type }>, 'type'>

/** A schema for each type of the union: leaving one out, or another shape than the union's, does not compile. */
export type EventSchemas<Event extends { type: string }> = {
  readonly [Type in Event['type']]: EventSchema<FieldsOf<Event, Type>>
}

const integer = z.codec(z.string().regex(/^-?\d+$/), z.bigint(), {
  decode: (text) => BigInt(text),
  encode: (value) => value.toString(),
})

const money = z.object({ amount: integer, asset: z.enum(assets) }).readonly()

/** The building blocks of event schemas. Whole numbers without bound travel as decimal strings: JSON numbers would lose cents. */
export const field = {
  id: z.string().min(1),
  text: z.string(),
  code: z.enum(Object.keys(errors) as [ErrorCode, ...ErrorCode[]]),
  count: z.int().nonnegative(),
  integer,
  /** Whole seconds. */
  seconds: integer,
  /** ISO 8601 in UTC. */
  time: z.iso.datetime(),
  money,
  posting: z
    .object({
      debit: z.string().min(1),
      credit: z.string().min(1),
      amount: money,
    })
    .readonly(),
}

export type EncodedEvent = { readonly type: string; readonly version: number; readonly data: unknown }

type AnySchemas = Readonly<Record<string, EventSchema<unknown>>>

// A stored type named "constructor" must not find what every object inherits.
const entryOf = (schemas: AnySchemas, type: string): EventSchema<unknown> | undefined =>
  Object.hasOwn(schemas, type) ? schemas[type] : undefined

/** The stored form of an event: its fields as JSON, under the current version. Throws EVENT_INVALID for a value outside its schema. */
export const encodeEvent = (schemas: AnySchemas, event: { readonly type: string }): EncodedEvent => {
  const entry = entryOf(schemas, event.type)
  if (!entry) throw new Failure('EVENT_INVALID', { type: event.type })
  const { type, ...fields } = event
  const encoded = z.safeEncode(entry.schema, fields)
  if (!encoded.success) throw new Failure('EVENT_INVALID', { type, problem: z.prettifyError(encoded.error) })
  return { type, version: entry.version, data: encoded.data }
}

/** Reads a stored event of any version up to the current one. Throws EVENT_UNREADABLE. */
export const decodeEvent = <Event extends { type: string }>(
  schemas: EventSchemas<Event>,
  { type, version, data }: EncodedEvent,
): Event => {
  const entry = entryOf(schemas, type)
  if (!entry || version > entry.version) throw new Failure('EVENT_UNREADABLE', { type, version: String(version) })
  let fields = data
  for (let from = version; from < entry.version; from++) {
    const upcast = entry.upcasts?.[from]
    if (!upcast)
      throw new Failure('EVENT_UNREADABLE', { type, version: String(version), problem: `no step up from ${from}` })
    try {
      fields = upcast(fields as Record<string, unknown>)
    } catch (error) {
      throw new Failure('EVENT_UNREADABLE', { type, version: String(version), problem: `step up from ${from}` }, error)
    }
  }
  const decoded = z.safeDecode(entry.schema, fields)
  if (!decoded.success)
    throw new Failure('EVENT_UNREADABLE', { type, version: String(version), problem: z.prettifyError(decoded.error) })
  return { type, ...(decoded.data as object) } as Event
}
