import { z } from 'zod'
import { eventDecoderOf } from './decoder.ts'
import { type Details, type ErrorCode, errors, Failure, type Refusal } from './errors.ts'
import {
  chainIdMax,
  idCharactersMax,
  int32Max,
  type Limit,
  refuseAboveLimits,
  textCharactersMax,
  uint256Max,
} from './limits.ts'
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

/** One schema for each field that any command of the union has: its limit counts before the command is decided. Leaving
 *  a field out does not compile. */
export type CommandFields<Command extends { type: string }> = {
  readonly [Name in Exclude<Command extends unknown ? keyof Command : never, 'type'>]: z.ZodType
}

const moneyOf = (limit: Limit) =>
  z.object({ amount: integer.meta({ unit: 'minor units of its asset', limit }), asset: z.enum(assets) }).readonly()

/** What the token of a chain can count. */
const money = moneyOf({ min: 0n, max: uint256Max })

/** An account of the chart (ledger.ts): `user:<wallet>:available` names a person. */
const chartAccount = z
  .string()
  .min(1)
  .meta({ unit: 'account of the chart', personal: true, limit: { charactersMin: 1, charactersMax: 120 } })

/** A billion ether an hour, or 10^21 dollars: with the most GPUs for the longest time it stays far below 78 digits. */
export const priceMax = 10n ** 27n
const walletCharactersMax = 42
const bytes32CharactersMax = 66

const number = z.int().nonnegative()
const count = number.meta({ limit: { min: 0, max: int32Max } })

/** The building blocks of event schemas. Whole numbers without bound are stored as decimal strings: JSON numbers
 *  would lose cents. The meta of a field is printed in docs/events.md and the JSON Schemas: `description` (one
 *  sentence), `unit`, `personal: true` for a field that names a person, leads to a person, or was written by a person,
 *  and `limit`, which holds for new events and not for stored ones (limits.ts). */
export const field = {
  id: z
    .string()
    .min(1)
    .meta({ limit: { charactersMin: 1, charactersMax: idCharactersMax } }),
  /** The address of a user's wallet: a pseudonym of a person. */
  wallet: z
    .string()
    .min(1)
    .meta({
      unit: 'wallet address, lower case',
      personal: true,
      limit: { charactersMin: 1, charactersMax: walletCharactersMax },
    }),
  /** An identifier that the chain shows beside the payer's address. */
  onChain: z
    .string()
    .min(1)
    .meta({
      unit: '32 bytes, 0x and hexadecimal',
      personal: true,
      limit: { charactersMin: 1, charactersMax: bytes32CharactersMax },
    }),
  text: z.string().meta({ limit: { charactersMax: textCharactersMax } }),
  /** Text that a user, or a program of the user, wrote: it may contain anything. */
  userText: z.string().meta({ personal: true, limit: { charactersMax: textCharactersMax } }),
  code: z.enum(Object.keys(errors) as [ErrorCode, ...ErrorCode[]]).meta({ unit: 'code of docs/errors.md' }),
  count,
  gpus: number.meta({ unit: 'GPUs', limit: { min: 1, max: int32Max } }),
  mib: count.meta({ unit: 'MiB' }),
  attempt: count.meta({ unit: 'counts from 1' }),
  chainId: number.meta({ unit: 'EIP-155 chain id', limit: { min: 1, max: chainIdMax } }),
  integer,
  seconds: integer.meta({ unit: 'seconds', limit: { min: 0n, max: BigInt(int32Max) } }),
  time: z.iso.datetime().meta({
    unit: 'ISO 8601, UTC',
    limit: { charactersMax: 24, earliest: '1970-01-01T00:00:00.000Z', latest: '9999-12-31T23:59:59.999Z' },
  }),
  money,
  price: moneyOf({ min: 1n, max: priceMax }),
  posting: z
    .object({ debit: chartAccount, credit: chartAccount, amount: moneyOf({ min: 1n, max: uint256Max }) })
    .readonly(),
}

export type EncodedEvent = { readonly type: string; readonly version: number; readonly data: unknown }

type AnySchemas = Readonly<Record<string, EventSchema<unknown>>>

// A stored type named "constructor" must not find a property that every object inherits.
const entryOf = (schemas: AnySchemas, type: string): EventSchema<unknown> | undefined =>
  Object.hasOwn(schemas, type) ? schemas[type] : undefined

/** Returns the stored form of a new event, as `encodeEvent` does. Refuses INPUT_INVALID when a field exceeds its
 *  limit. */
export const encodeNewEvent = (schemas: AnySchemas, event: { readonly type: string }): EncodedEvent | Refusal => {
  const entry = entryOf(schemas, event.type)
  return (entry && refuseAboveLimits(entry.schema, event)) ?? encodeEvent(schemas, event)
}

/** Returns the stored form of an event: its fields as JSON, in the current version. Limits do not count, for the event
 *  may have been stored before they were set. Throws EVENT_INVALID for a value outside its schema. */
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
