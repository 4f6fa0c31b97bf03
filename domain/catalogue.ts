// What is known about every event type without reading its code: the shape in which it is stored, and what in it is
// personal. docs/events.md, the JSON Schemas beside it and exports are made from this.
import { z } from 'zod'
import { type AggregateName, aggregates } from './aggregates.ts'
import type { EventSchema } from './events.ts'

/** A JSON Schema (draft 2020-12) with two words more: `unit`, and `personal: true` where a person shows. */
export type StoredShape = {
  readonly description?: string
  readonly unit?: string
  readonly personal?: true
  readonly type?: string
  readonly format?: string
  readonly pattern?: string
  readonly enum?: readonly string[]
  readonly properties?: Readonly<Record<string, StoredShape>>
  readonly items?: StoredShape
  readonly additionalProperties?: StoredShape | boolean
}

const codeUnit = 'code of docs/errors.md'

/** The shape in which the fields of an event are stored: whole numbers without bound are decimal strings there. */
export const shapeOf = ({ schema }: EventSchema<unknown>): StoredShape =>
  z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      // Nobody writes to history, so there is no need to say of parts of it that nobody may.
      delete jsonSchema.readOnly
      // What a calendar is need not be spelled out; that it is UTC must be.
      if (jsonSchema.format === 'date-time') jsonSchema.pattern = 'Z$'
      // The registry of codes grows without any event changing.
      if (jsonSchema.unit === codeUnit) {
        delete jsonSchema.enum
        jsonSchema.pattern = '^[A-Z]+(_[A-Z]+)*$'
      }
    },
  }) as StoredShape

/** The aggregates whose id, and so the name of their streams, leads to a person: a wallet, or a deposit that the chain shows
 *  beside its payer's address. */
export const personalStreams: readonly AggregateName[] = ['account', 'payment', 'provider']

/** What in the metadata leads to a person: `user:<wallet>` asks for things. */
export const personalMetadata = ['actor'] as const

const shapes = new Map(
  Object.values(aggregates).flatMap(({ schemas }) =>
    Object.entries<EventSchema<unknown>>(schemas).map(([type, entry]) => [type, shapeOf(entry)] as const),
  ),
)

const personalPaths = (shape: StoredShape, path: string): string[] => {
  if (shape.personal) return [path]
  const below = Object.entries(shape.properties ?? {}).flatMap(([name, child]) =>
    personalPaths(child, path === '' ? name : `${path}.${name}`),
  )
  return shape.items ? [...below, ...personalPaths(shape.items, `${path}[]`)] : below
}

const personalFields = new Map([...shapes].map(([type, shape]) => [type, personalPaths(shape, '')]))

/** The personal fields of an event type in its current version, as paths into its stored data: `renter`, `posting.debit`,
 *  `lines[].payer`. What lies below such a path (an array, an object) is personal as a whole. Empty for a type without any.
 *  Of an older version nothing is said: step it up first. */
export const personalFieldsOf = (type: string): readonly string[] => personalFields.get(type) ?? []

const strip = (shape: StoredShape, value: unknown): unknown => {
  if (shape.items && Array.isArray(value)) return value.map((item) => strip(shape.items ?? {}, item))
  if (!shape.properties || typeof value !== 'object' || value === null) return value
  const kept = Object.entries(shape.properties).filter(([name, child]) => !child.personal && Object.hasOwn(value, name))
  return Object.fromEntries(kept.map(([name, child]) => [name, strip(child, (value as Record<string, unknown>)[name])]))
}

/** The stored data of an event in its current version, without its personal fields; nothing of a type that is not known. */
export const withoutPersonalFields = (type: string, data: unknown): unknown => {
  const shape = shapes.get(type)
  return shape ? strip(shape, data) : {}
}
