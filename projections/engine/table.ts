import { BigIntType, p, Type } from '@mikro-orm/postgresql'

/** The database schema of all read models, and the one where versions are built that are not read yet. */
export const readSchema = 'read'
export const buildSchema = 'read_build'

/** Minor units of an asset: a bigint up to 39 digits here, numeric in the database, where a bigint column would end at 19. */
export class AmountType extends Type<bigint, string> {
  override convertToDatabaseValue(value: bigint): string {
    return value === null || value === undefined ? value : String(value)
  }
  override convertToJSValue(value: string): bigint {
    return value === null || value === undefined ? value : BigInt(value)
  }
  override getColumnType(): string {
    return 'numeric(39,0)'
  }
  override compareAsType(): string {
    return 'bigint'
  }
}

/** A moment as ISO 8601 text in UTC with milliseconds, as events carry it. */
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

/** Text that is compared byte by byte, so that keys, positions and pages sort alike in every database. */
export const key = () => p.text().collation('C')
export const amount = () => p.type(AmountType).$type<bigint>()
export const moment = () => p.type(MomentType).$type<string>()

/** What every row carries: the event that last changed it, and when that was. */
export const stamps = () => ({ position: key(), updatedAt: moment() })

/** A row as far as the runner knows it. */
export type AnyRow = { readonly id: string; readonly position: string; readonly updatedAt: string }

/** An entity of MikroORM, as far as the runner reads it. */
export type ReadTable = {
  readonly meta: {
    readonly tableName?: string
    readonly properties: Readonly<Record<string, { readonly type?: unknown }>>
  }
}

type Column = { readonly property: string; readonly name: string; readonly kind: 'integer' | 'moment' | 'plain' }

/** The runner's side of a table: its statements, and how rows travel. One shape for all tables. */
export type TableAccess = {
  /** With its schema. */
  readonly name: string
  /** Values: the ids. */
  readonly selectByIds: string
  /** Values: the last id of the page before ('' at first), the number of rows. */
  readonly selectPage: string
  /** Writes rows over those with the same ids. `rows` is the parameter with the rows as JSON text; with `when`, the name of a
   *  common table expression, nothing is written unless that has a row. */
  upsert(rows: `$${number}`, when?: string): string
  decode(raw: Readonly<Record<string, unknown>>): AnyRow
  encode(rows: readonly AnyRow[]): string
  /** The row as it will be read back: moments in one form. */
  normalize<Row extends AnyRow>(row: Row): Row
  /** The table of the same shape in another schema. */
  within(schema: string): TableAccess
}

/** ISO 8601 in UTC with milliseconds. */
export const toMoment = (text: string): string => new Date(text).toISOString()

const isSettledMoment = (value: unknown): boolean =>
  typeof value !== 'string' || (value.length === 24 && value.endsWith('Z'))

const kindOf = (type: unknown): Column['kind'] => {
  if (type === AmountType || type instanceof BigIntType) return 'integer'
  return type === MomentType ? 'moment' : 'plain'
}

const snakeCase = (property: string): string => property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const columnsOf = (table: ReadTable): Column[] =>
  Object.entries(table.meta.properties).map(([property, { type }]) => ({
    property,
    name: snakeCase(property),
    kind: kindOf(type),
  }))

const fromDatabase = (kind: Column['kind'], value: unknown): unknown => {
  if (value === null || kind === 'plain') return value
  return kind === 'integer' ? BigInt(String(value)) : toMoment(String(value))
}

const bigintAsText = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)

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
    // All rows as one parameter: the plan does not grow with the batch, and the types come from the table itself. `json` and
    // not `jsonb`, which builds a tree of it first: 10 to 20 % of the statement.
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
      // With a function to ask for each value it takes twice as long: only where JSON inside a row has a bigint.
      try {
        return JSON.stringify(encoded)
      } catch {
        return JSON.stringify(encoded, bigintAsText)
      }
    },
    normalize: (row) => {
      const values = row as Record<string, unknown>
      if (moments.every((property) => isSettledMoment(values[property]))) return row
      const loose = moments.filter((property) => !isSettledMoment(values[property]))
      return { ...row, ...Object.fromEntries(loose.map((property) => [property, toMoment(String(values[property]))])) }
    },
    within: (other) => accessTo(table, other),
  }
}
