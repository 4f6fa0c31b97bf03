// The language of an analyst's file: tables as columns, and a pure fold per event type. It is data and functions
// without SQL, so a replay cannot name any other table.
import { type DomainEvent, eventSchemas } from '../domain/aggregates.ts'
import { Failure } from '../domain/errors.ts'
import type { Asset, Money } from '../domain/money.ts'
import type { EventMetadata } from '../projections/engine/projection.ts'
import { snakeCase } from '../projections/engine/snake-case.ts'

type Kind = 'text' | 'integer' | 'moment' | 'money'

/** `Value` is the type of the values in a fold; it does not exist at run time. */
export type Column<Value = unknown> = {
  readonly kind: Kind
  readonly nullable: boolean
  readonly asset: Asset | undefined
  readonly value?: Value
}

const column = <Value>(kind: Kind, asset?: Asset): Column<Value> => ({ kind, nullable: false, asset })

/** Declares a column of text. In keys it is compared byte by byte. */
export const text = (): Column<string> => column('text')
/** Declares a column of whole numbers of up to 64 bits; a bigint in the fold. */
export const integer = (): Column<bigint> => column('integer')
/** Declares a column of moments: ISO 8601 in UTC in the fold, timestamptz to the millisecond in the table. */
export const moment = (): Column<string> => column('moment')
/** Declares a column of money of one asset: `Money` in the fold; in the table an exact decimal number of whole units.
 *  There 3650 minor units of USDC/6 are 0.003650, and sums are exact. Negative amounts are allowed. */
export const money = (asset: Asset): Column<Money> => column('money', asset)
/** Returns the same column with null allowed. Keys cannot have null. */
export const nullable = <Value>(of: Column<Value>): Column<Value | null> =>
  ({ ...of, nullable: true }) as Column<Value | null>

export type Columns = Readonly<Record<string, Column>>
type ValuesOf<Of extends Columns> = {
  readonly [Name in keyof Of]: Of[Name] extends Column<infer Value> ? Value : never
}

export type Table<Key extends Columns = Columns, Rest extends Columns = Columns> = {
  readonly key: Key
  readonly columns: Rest
  readonly lookup: boolean
}

/** Declares a table of the result. It has any number of key columns; events of one stream may change any row. */
export const table = <Key extends Columns, Rest extends Columns>(of: {
  key: Key
  columns: Rest
}): Table<Key, Rest> => ({
  ...of,
  lookup: false,
})

/** Declares a table for the fold alone, dropped at the end. It gets the whole history, also events before `--from`. */
export const lookup = <Key extends Columns, Rest extends Columns>(of: {
  key: Key
  columns: Rest
}): Table<Key, Rest> => ({
  ...of,
  lookup: true,
})

/** The rows of a table within a fold. A row that was read does not change: set another one. */
export type Rows<Key, Row> = {
  get(key: Key): Row | undefined
  /** Adds the row, or replaces the one with the same key. */
  set(row: Row): void
  delete(key: Key): void
}

type Tables = Readonly<Record<string, Table>>
type RowsOf<Of extends Tables> = {
  readonly [Name in keyof Of]: Of[Name] extends Table<infer Key, infer Rest>
    ? Rows<ValuesOf<Key>, ValuesOf<Key> & ValuesOf<Rest>>
    : never
}

/** Folds must be pure: one may run again for the same event. */
type Folds<Of extends Tables> = {
  readonly [Type in DomainEvent['type']]?: (
    rows: RowsOf<Of>,
    event: Extract<DomainEvent, { type: Type }>,
    metadata: EventMetadata,
  ) => void
}

const mark = Symbol.for('neuralmesh.replay')

export type AnyRow = Readonly<Record<string, unknown>>
export type AnyRows = Readonly<Record<string, Rows<AnyRow, AnyRow>>>

/** A column by the name in the fold and that in the table. */
export type ColumnShape = { readonly property: string; readonly name: string; readonly column: Column }
export type TableShape = {
  readonly property: string
  readonly name: string
  readonly lookup: boolean
  readonly key: readonly ColumnShape[]
  /** All of them, the key first. */
  readonly columns: readonly ColumnShape[]
}

/** The default export of an analyst's file. */
export type Replay = {
  readonly [mark]: true
  readonly tables: readonly TableShape[]
  readonly types: readonly string[]
  fold(rows: AnyRows, event: DomainEvent, metadata: EventMetadata): void
}

/** Declares a replay. The types of events, rows and keys are those of the domain and of the columns: a wrong one does
 *  not compile. Throws REPLAY_FILE_INVALID for mistakes that types cannot find. */
export const replay = <const Of extends Tables>(definition: {
  readonly tables: Of
  readonly fold: Folds<Of>
}): Replay => {
  type AnyFold = (rows: AnyRows, event: DomainEvent, metadata: EventMetadata) => unknown
  const folds = new Map(Object.entries(definition.fold as unknown as Readonly<Record<string, AnyFold>>))
  const unknown = [...folds.keys()].find((type) => !eventTypes.has(type))
  if (unknown !== undefined) throw invalid(`its fold names ${unknown}, and there is no such event`)
  if (folds.size === 0) throw invalid('its fold names no event')
  return {
    [mark]: true,
    tables: shapesOf(definition.tables),
    types: [...folds.keys()],
    fold: (rows, event, metadata) => {
      const answer = folds.get(event.type)?.(rows, event, metadata)
      if (answer instanceof Promise) throw new Error('a fold must be done when it returns, and this one is async')
    },
  }
}

/** Returns whether a value is the result of `replay`. */
export const isReplay = (value: unknown): value is Replay =>
  typeof value === 'object' && value !== null && mark in value

const eventTypes = new Set(Object.keys(eventSchemas))

const invalid = (reason: string) => new Failure('REPLAY_FILE_INVALID', { reason })

const nameMax = 50

/** Returns the name in the database. It consists of these characters alone, so that it cannot contain SQL. */
const nameOf = (property: string): string => {
  const name = snakeCase(property)
  if (!/^[a-z][a-z0-9_]*$/.test(name) || name.length > nameMax)
    throw invalid(`"${property}" is no name: letters and digits, a letter first, at most ${nameMax}`)
  return name
}

const shapesOf = (tables: Tables): TableShape[] => {
  const shapes = Object.entries(tables).map(([property, { key, columns, lookup }]) => {
    const both = [...columnsOf(key), ...columnsOf(columns)]
    const twice = both.find(({ name }, index) => both.findIndex((other) => other.name === name) !== index)
    if (twice) throw invalid(`table ${property} has two columns ${twice.name}`)
    const unfit = columnsOf(key).find(({ column }) => column.nullable || column.kind === 'money')
    if (unfit) throw invalid(`table ${property} has ${unfit.property} in its key, which is null or money`)
    if (Object.keys(key).length === 0) throw invalid(`table ${property} has no key`)
    return { property, name: nameOf(property), lookup, key: columnsOf(key), columns: both }
  })
  if (shapes.every(({ lookup }) => lookup)) throw invalid('it has no table for its result')
  const twice = shapes.find(({ name }, index) => shapes.findIndex((other) => other.name === name) !== index)
  if (twice) throw invalid(`two tables are called ${twice.name}`)
  return shapes
}

const columnsOf = (columns: Columns): ColumnShape[] =>
  Object.entries(columns).map(([property, column]) => ({ property, name: nameOf(property), column }))
