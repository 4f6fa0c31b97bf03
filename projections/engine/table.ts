import { BigIntType, p, Type } from '@mikro-orm/postgresql'
import { snakeCase } from './snake-case.ts'

/** The database schema of all live read models, and the schema in which new versions are built. */
export const readSchema = 'read'
export const buildSchema = 'read_build'

/** Minor units of an asset: a bigint of up to 97 digits, the sum of as many amounts of a chain (78 digits) as a log can
 *  hold. The column is numeric, because a bigint column ends at 19 digits. */
export class AmountType extends Type<bigint, string> {
  override convertToDatabaseValue(value: bigint): string {
    return value === null || value === undefined ? value : String(value)
  }
  override convertToJSValue(value: string): bigint {
    return value === null || value === undefined ? value : BigInt(value)
  }
  override getColumnType(): string {
    return 'numeric(97,0)'
  }
  override compareAsType(): string {
    return 'bigint'
  }
}

/** A whole number up to 2^53 - 1: an integer column ends at 2^31 - 1. */
export class SafeIntegerType extends Type<number, string> {
  override convertToJSValue(value: string): number {
    return value === null || value === undefined ? value : Number(value)
  }
  override getColumnType(): string {
    return 'bigint'
  }
  override compareAsType(): string {
    return 'number'
  }
}

/** A moment as ISO 8601 text in UTC with milliseconds, as in events. */
export class MomentType extends Type<string, string> {
  override convertToJSValue(value: string): string {
    return value === null || value === undefined ? value : toMoment(value)
  }
  override getColumnType(): string {
    return 'timestamptz(3)'
  }
  override compareAsType(): string {
    return 'string'
  }
}

/** Declares a text column that is compared byte by byte, so that keys, positions and pages sort alike in every
 *  database. */
export const key = () => p.text().collation('C')
/** Declares a column for an amount in minor units. */
export const amount = () => p.type(AmountType).$type<bigint>()
/** Declares a column for a whole number that may exceed 2^31 - 1. */
export const safeInteger = () => p.type(SafeIntegerType).$type<number>()
/** Declares a column for a moment. */
export const moment = () => p.type(MomentType).$type<string>()

/** Declares the columns of every row: the position and the time of the event that last changed it. */
export const stamps = () => ({ position: key(), updatedAt: moment() })

/** The columns that every row has. */
export type AnyRow = { readonly id: string; readonly position: string; readonly updatedAt: string }

/** The part of a MikroORM entity that the runner reads. */
export type ReadTable = {
  readonly meta: {
    readonly tableName?: string
    readonly properties: Readonly<Record<string, { readonly type?: unknown }>>
  }
}

type Column = {
  readonly property: string
  readonly name: string
  readonly kind: 'integer' | 'number' | 'moment' | 'plain'
}

/** The access of the runner to a table: its statements, and the conversion of rows. It is the same for all tables. */
export type TableAccess = {
  /** The name with its schema. */
  readonly name: string
  /** Values: the ids. */
  readonly selectByIds: string
  /** Values: the last id of the page before ('' at first), the number of rows. */
  readonly selectPage: string
  /** Returns the statement that inserts rows or replaces those with the same ids. `rows` is the parameter with the rows
   *  as JSON text. `when` is the name of a common table expression: nothing is written unless it has a row. */
  upsert(rows: `$${number}`, when?: string): string
  /** Returns the row that the columns of the database make. */
  decode(raw: Readonly<Record<string, unknown>>): AnyRow
  /** Returns the rows as JSON text for `upsert`. */
  encode(rows: readonly AnyRow[]): string
  /** Returns the row as it will be read back: all moments in the same form. */
  normalize<Row extends AnyRow>(row: Row): Row
  /** Returns the access to the table with the same columns in another schema. */
  within(schema: string): TableAccess
}

/** Returns a time as ISO 8601 text in UTC with milliseconds. */
export const toMoment = (text: string): string => new Date(text).toISOString()

const isNormalMoment = (value: unknown): boolean =>
  typeof value !== 'string' || (value.length === 24 && value.endsWith('Z'))

const kindOf = (type: unknown): Column['kind'] => {
  if (type === AmountType || type instanceof BigIntType) return 'integer'
  if (type === SafeIntegerType) return 'number'
  return type === MomentType ? 'moment' : 'plain'
}

const columnsOf = (table: ReadTable): Column[] =>
  Object.entries(table.meta.properties).map(([property, { type }]) => ({
    property,
    name: snakeCase(property),
    kind: kindOf(type),
  }))

const fromDatabase = (kind: Column['kind'], value: unknown): unknown => {
  if (value === null || kind === 'plain') return value
  if (kind === 'number') return Number(value)
  return kind === 'integer' ? BigInt(String(value)) : toMoment(String(value))
}

const bigintAsText = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)

/** Returns the runner's access to a table. */
export const accessTo = (table: ReadTable, schema: string = readSchema): TableAccess => {
  const columns = columnsOf(table)
  const moments = columns.filter(({ kind }) => kind === 'moment').map(({ property }) => property)
  const name = `${schema}.${table.meta.tableName}`
  const names = columns.map((column) => `"${column.name}"`)
  const updates = names.filter((column) => column !== '"id"').map((column) => `${column} = excluded.${column}`)
  const encodeRow = (row: AnyRow) => {
    const encoded: Record<string, unknown> = {}
    for (const { property, name, kind } of columns) {
      const value = (row as unknown as Record<string, unknown>)[property]
      encoded[name] = kind === 'integer' && typeof value === 'bigint' ? String(value) : value
    }
    return encoded
  }
  return {
    name,
    selectByIds: `select ${names} from ${name} where id = any($1)`,
    selectPage: `select ${names} from ${name} where id > $1 order by id limit $2`,
    // All rows are one parameter: the plan does not grow with the batch, and the types come from the table itself.
    // `json` is used because `jsonb` builds a tree first, which takes 10 to 20 % of the statement.
    upsert: (rows, when) => `insert into ${name} (${names})
      select ${names} from json_populate_recordset(null::${name}, ${rows}::json)${when ? ` where exists (select from ${when})` : ''}
      on conflict (id) do update set ${updates}`,
    decode: (raw) => {
      const row: Record<string, unknown> = {}
      for (const { property, name, kind } of columns) row[property] = fromDatabase(kind, raw[name])
      return row as unknown as AnyRow
    },
    encode: (rows) => {
      const encoded = rows.map(encodeRow)
      // A replacer function makes this take twice as long: it is used only when JSON inside a row has a bigint.
      try {
        return JSON.stringify(encoded)
      } catch {
        return JSON.stringify(encoded, bigintAsText)
      }
    },
    normalize: (row) => {
      const values = row as Record<string, unknown>
      if (moments.every((property) => isNormalMoment(values[property]))) return row
      const loose = moments.filter((property) => !isNormalMoment(values[property]))
      return { ...row, ...Object.fromEntries(loose.map((property) => [property, toMoment(String(values[property]))])) }
    },
    within: (other) => accessTo(table, other),
  }
}
