// The catalogue of event types: the shape in which each is stored, and its personal fields. docs/events.md, its JSON
// Schemas and exports are made from it.
import { z } from 'zod'
import { type AggregateName, eventSchemas } from './aggregates.ts'
import type { EventSchema } from './events.ts'
import { type Limit, limitWords } from './limits.ts'

/** A JSON Schema (draft 2020-12) with three more keywords: `unit`, `personal: true` for personal data, and `limit`, in
 *  words, which only new events must keep. */
export type StoredShape = {
  readonly description?: string
  readonly unit?: string
  readonly personal?: true
  readonly limit?: string
  readonly type?: string
  readonly format?: string
  readonly pattern?: string
  readonly enum?: readonly string[]
  readonly properties?: Readonly<Record<string, StoredShape>>
  readonly items?: StoredShape
  readonly additionalProperties?: StoredShape | boolean
}

const codeUnit = 'code of docs/errors.md'

/** Returns the shape in which the fields of an event are stored. Whole numbers without bound are decimal strings
 *  there. */
export const shapeOf = ({ schema }: EventSchema<unknown>): StoredShape =>
  z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema }) => {
      // All of history is read-only, so the keyword would distinguish nothing.
      delete jsonSchema.readOnly
      if (jsonSchema.limit) jsonSchema.limit = limitWords(jsonSchema.limit as Limit)
      // zod's pattern spells out the calendar, which the format implies. That the time is in UTC is not implied.
      if (jsonSchema.format === 'date-time') jsonSchema.pattern = 'Z$'
      // New codes may be registered without a new version of an event.
      if (jsonSchema.unit === codeUnit) {
        delete jsonSchema.enum
        jsonSchema.pattern = '^[A-Z]+(_[A-Z]+)*$'
      }
    },
  }) as StoredShape

/** The aggregates whose id leads to a person, and so do the names of their streams. The id is a wallet, or a deposit
 *  that the chain shows beside the payer's address. */
export const personalStreams: readonly AggregateName[] = ['account', 'payment', 'provider']

/** The metadata that leads to a person: an actor may be `user:<wallet>`. */
export const personalMetadata = ['actor'] as const

const shapes = new Map(Object.entries(eventSchemas).map(([type, entry]) => [type, shapeOf(entry)] as const))

const personalPaths = (shape: StoredShape, path: string): string[] => {
  if (shape.personal) return [path]
  const below = Object.entries(shape.properties ?? {}).flatMap(([name, child]) =>
    personalPaths(child, path === '' ? name : `${path}.${name}`),
  )
  return shape.items ? [...below, ...personalPaths(shape.items, `${path}[]`)] : below
}

const personalFields = new Map([...shapes].map(([type, shape]) => [type, personalPaths(shape, '')]))

/** Returns the personal fields of an event type in its current version, as paths into its stored data: `renter`,
 *  `posting.debit`, `lines[].payer`. An array or object at such a path is personal as a whole. The list is empty for
 *  a type without personal fields. Upcast an older version first. */
export const personalFieldsOf = (type: string): readonly string[] => personalFields.get(type) ?? []

const strip = (shape: StoredShape, value: unknown): unknown => {
  if (shape.items && Array.isArray(value)) return value.map((item) => strip(shape.items ?? {}, item))
  if (!shape.properties || typeof value !== 'object' || value === null) return value
  const remaining = Object.entries(shape.properties).filter(
    ([name, child]) => !child.personal && Object.hasOwn(value, name),
  )
  return Object.fromEntries(
    remaining.map(([name, child]) => [name, strip(child, (value as Record<string, unknown>)[name])]),
  )
}

/** Returns the stored data of an event in its current version, without its personal fields. Returns `{}` for an
 *  unknown type. */
export const withoutPersonalFields = (type: string, data: unknown): unknown => {
  const shape = shapes.get(type)
  return shape ? strip(shape, data) : {}
}
