// The columns of the export: the fields that every event has, and common ones. The whole event is in `data`.
import { eventSchemas, idOf } from '../../domain/aggregates.ts'
import { encodeEvent } from '../../domain/events.ts'
import { type Asset, decimalsOf } from '../../domain/money.ts'
import type { Json, StoredEvent } from '../../infra/event-store/port.ts'
import { decodeStored } from '../../projections/engine/projection.ts'
import type { Privacy } from './personal.ts'

/** `moment` is a time in UTC to the microsecond, `money` a struct of amount (minor units as text), asset and scale
 *  (decimals). */
export type Kind = 'text' | 'int32' | 'int64' | 'moment' | 'money'
export type ExportedMoney = { readonly amount: string; readonly asset: string; readonly scale: number }
export type Value = string | number | bigint | Date | ExportedMoney | null

/** An event as it is exported: its fields as JSON, in the current version and without those that must not be
 *  exported. */
type ExportedEvent = {
  readonly stored: StoredEvent
  readonly stream: string
  readonly actor: string
  readonly version: number
  readonly fields: Readonly<Record<string, Json>>
}

export type ExportColumn = {
  readonly name: string
  readonly kind: Kind
  readonly required: boolean
  readonly of: (event: ExportedEvent) => Value
}

const required = (name: string, kind: Kind, of: ExportColumn['of']): ExportColumn => ({
  name,
  kind,
  required: true,
  of,
})
const optional = (name: string, kind: Kind, of: ExportColumn['of']): ExportColumn => ({
  name,
  kind,
  required: false,
  of,
})

const textOf = (value: Json | undefined): string | null => (typeof value === 'string' ? value : null)
const moneyOf = (value: Json | undefined): ExportedMoney | null => {
  const { amount, asset } = (value ?? {}) as { amount?: Json; asset?: Json }
  if (typeof amount !== 'string' || typeof asset !== 'string') return null
  return { amount, asset, scale: decimalsOf(asset as Asset) }
}

const postingOf = ({ fields }: ExportedEvent) => (fields.posting ?? {}) as Readonly<Record<string, Json>>
const aggregateOf = ({ stream }: StoredEvent): string => stream.slice(0, -idOf(stream).length - 1)

/** Makes a column of a field, or of the aggregate's id for events of that aggregate itself. */
const idColumn = (name: string) =>
  optional(name, 'text', ({ stored, stream, fields }) =>
    aggregateOf(stored) === name ? idOf(stream) : textOf(fields[name]),
  )
const textColumn = (name: string, field = name) => optional(name, 'text', ({ fields }) => textOf(fields[field]))
const moneyColumn = (name: string, field = name) => optional(name, 'money', ({ fields }) => moneyOf(fields[field]))

export const columns: readonly ExportColumn[] = [
  required('position', 'text', ({ stored }) => stored.position),
  required('stream', 'text', ({ stream }) => stream),
  required('aggregate', 'text', ({ stored }) => aggregateOf(stored)),
  required('aggregate_id', 'text', ({ stream }) => idOf(stream)),
  required('revision', 'int64', ({ stored }) => stored.revision),
  required('type', 'text', ({ stored }) => stored.type),
  required('schema_version', 'int32', ({ version }) => version),
  required('stored_version', 'int32', ({ stored }) => stored.metadata.schemaVersion),
  required('event_id', 'text', ({ stored }) => stored.id),
  required('command_id', 'text', ({ stored }) => stored.metadata.commandId),
  required('correlation_id', 'text', ({ stored }) => stored.metadata.correlationId),
  required('causation_id', 'text', ({ stored }) => stored.metadata.causationId),
  required('actor', 'text', ({ actor }) => actor),
  required('time', 'moment', ({ stored }) => new Date(stored.metadata.time)),
  idColumn('rental'),
  idColumn('listing'),
  idColumn('payment'),
  textColumn('renter'),
  textColumn('provider'),
  textColumn('user'),
  textColumn('gpu'),
  optional('gpu_count', 'int32', ({ fields }) => (typeof fields.gpuCount === 'number' ? fields.gpuCount : null)),
  optional('run_seconds', 'int64', ({ fields }) =>
    typeof fields.runSeconds === 'string' ? BigInt(fields.runSeconds) : null,
  ),
  textColumn('code'),
  optional('debit', 'text', (event) => textOf(postingOf(event).debit)),
  optional('credit', 'text', (event) => textOf(postingOf(event).credit)),
  optional('amount', 'money', (event) => moneyOf(postingOf(event).amount ?? event.fields.amount)),
  moneyColumn('fee'),
  moneyColumn('total'),
  moneyColumn('charged'),
  moneyColumn('held'),
  moneyColumn('released'),
  moneyColumn('price_per_gpu_hour', 'pricePerGpuHour'),
  moneyColumn('max_price_per_gpu_hour', 'maxPricePerGpuHour'),
  required('data', 'text', ({ fields }) => JSON.stringify(fields)),
]

/** Returns the fields in the current version, with older versions upcast. */
const inCurrentVersion = (stored: StoredEvent): { version: number; data: Json } => {
  const { version, data } = encodeEvent(eventSchemas, decodeStored(stored).event)
  return { version, data: data as Json }
}

/** Returns one event as a row, in the order of the columns. Throws EVENT_UNREADABLE. */
export const rowOf = (stored: StoredEvent, privacy: Privacy): readonly Value[] => {
  const { version, data } = inCurrentVersion(stored)
  const exported: ExportedEvent = {
    stored,
    stream: privacy.stream(stored.stream),
    actor: privacy.actor(stored.metadata.actor),
    version,
    fields: privacy.fields(stored.type, data) as ExportedEvent['fields'],
  }
  return columns.map(({ of }) => of(exported))
}

/** Returns the day of an event's time, in UTC: its partition. */
export const dayOf = ({ metadata }: StoredEvent): string => metadata.time.slice(0, 'yyyy-mm-dd'.length)
