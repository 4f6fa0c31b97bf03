import { z } from 'zod'
import { eventDecoderOf } from './decoder.ts'
import { type Details, type ErrorCode, errors, Failure } from './errors.ts'
import { assets } from './money.ts'

/** How one event type is written and read: the current version and schema, and an upcast from each older version. */
export type EventSchema<Fields> = {
  readonly version: number
  readonly schema: z.ZodType<Fields, unknown>
  /** `upcasts[1]` turns the stored fields of version 1 into those of version 2, and so on. Stored events never
   *  change. */
  readonly upcasts?: Readonly<Record<number, (data: Record<string, unknown>) => Record<string, unknown>>>
}

type FieldsOf<Event, Type> = Omit<Extract<Event, { type: Type }>, 'type'>

/** A schema for each type of the union. Leaving one out, or giving it another shape than the union does, does not
 *  compile. */
export type EventSchemas<Event extends { type: string }> = {
  readonly [Type in Event['type']]: EventSchema<FieldsOf<Event, Type>>
}

const integer = z.codec(z.string().regex(/^-?\d+$/), z.bigint(), {
  decode: (text) => BigInt(text),
  encode: (value) => value.toString(),
})

const amount = integer.meta({ unit: 'minor units of its asset' })
const money = z.object({ amount, asset: z.enum(assets) }).readonly()

/** An account of the chart (ledger.ts): `user:<wallet>:available` names a person. */
const chartAccount = z.string().min(1).meta({ unit: 'account of the chart', personal: true })

/** The building blocks of event schemas. Whole numbers without bound are stored as decimal strings: JSON numbers
 *  would lose cents. The meta of a field is printed in docs/events.md and the JSON Schemas: `description` (one
 *  sentence), `unit`, and `personal: true` for a field that names a person, leads to a person, or was written by a
 *  person. */
export const field = {
  id: z.string().min(1),
  /** The address of a user's wallet: a pseudonym of a person. */
  wallet: z.string().min(1).meta({ unit: 'wallet address, lower case', personal: true }),
  /** An identifier that the chain shows beside the payer's address. */
  onChain: z.string().min(1).meta({ unit: '32 bytes, 0x and hexadecimal', personal: true }),
  text: z.string(),
  /** Text that a user, or a program of the user, wrote: it may contain anything. */
  userText: z.string().meta({ personal: true }),
  code: z.enum(Object.keys(errors) as [ErrorCode, ...ErrorCode[]]).meta({ unit: 'code of docs/errors.md' }),
  count: z.int().nonnegative(),
  gpus: z.int().nonnegative().meta({ unit: 'GPUs' }),
  mib: z.int().nonnegative().meta({ unit: 'MiB' }),
  attempt: z.int().nonnegative().meta({ unit: 'counts from 1' }),
  integer,
  seconds: integer.meta({ unit: 'seconds' }),
  time: z.iso.datetime().meta({ unit: 'ISO 8601, UTC' }),
  money,
  posting: z.object({ debit: chartAccount, credit: chartAccount, amount: money }).readonly(),
}

export type EncodedEvent = { readonly type: string; readonly version: number; readonly data: unknown }

type AnySchemas = Readonly<Record<string, EventSchema<unknown>>>

// A stored type named "constructor" must not find a property that every object inherits.
const entryOf = (schemas: AnySchemas, type: string): EventSchema<unknown> | undefined =>
  Object.hasOwn(schemas, type) ? schemas[type] : undefined

/** Returns the stored form of an event: its fields as JSON, in the current version. Throws EVENT_INVALID for a value
 *  outside its schema. */
export const encodeEvent = (schemas: AnySchemas, event: { readonly type: string }): EncodedEvent => {
  const entry = entryOf(schemas, event.type)
  if (!entry) throw new Failure('EVENT_INVALID', { type: event.type })
  const { type, ...fields } = event
  const encoded = z.safeEncode(entry.schema, fields)
  if (!encoded.success) throw new Failure('EVENT_INVALID', { type, problem: z.prettifyError(encoded.error) })
  return { type, version: entry.version, data: encoded.data }
}

type Decode = (fields: unknown) => object

const decoders = new WeakMap<EventSchema<unknown>, { readonly type: string; readonly decode: Decode }>()

const decoderOf = (type: string, entry: EventSchema<unknown>): Decode => {
  const cached = decoders.get(entry)
  if (cached?.type === type) return cached.decode
  const decode = eventDecoderOf(type, entry.schema)
  decoders.set(entry, { type, decode })
  return decode
}

const unreadable = ({ type, version }: EncodedEvent, problem: Details, cause?: unknown): Failure =>
  new Failure('EVENT_UNREADABLE', { type, version: String(version), ...problem }, cause)

/** Decodes a stored event of any version up to the current one. Throws EVENT_UNREADABLE. */
export const decodeEvent = <Event extends { type: string }>(
  schemas: EventSchemas<Event>,
  encoded: EncodedEvent,
): Event => {
  const { type, version, data } = encoded
  const entry = entryOf(schemas, type)
  if (!entry || version > entry.version) throw unreadable(encoded, {})
  let fields = data
  for (let from = version; from < entry.version; from++) {
    const upcast = entry.upcasts?.[from]
    if (!upcast) throw unreadable(encoded, { problem: `no upcast from version ${from}` })
    try {
      fields = upcast(fields as Record<string, unknown>)
    } catch (error) {
      throw unreadable(encoded, { problem: `upcast from version ${from}` }, error)
    }
  }
  try {
    return decoderOf(type, entry)(fields) as Event
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error
    throw unreadable(encoded, { problem: z.prettifyError(error) })
  }
}
