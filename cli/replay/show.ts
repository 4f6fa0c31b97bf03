import type { TableShape } from '../../analysis/replay.ts'
import { counted } from '../../domain/text.ts'
import type { Database } from '../../infra/postgres.ts'

const rowsShown = 10

/** A table of the result: the number of its rows, and the first ones with values as text. */
export type ShownTable = {
  readonly name: string
  readonly rows: number
  readonly first: readonly Readonly<Record<string, string | null>>[]
}

/** Reads the tables of a result, rows in the order of their keys. */
export const readTables = (
  { query }: Pick<Database, 'query'>,
  schema: string,
  tables: readonly TableShape[],
): Promise<ShownTable[]> =>
  Promise.all(
    tables
      .filter(({ lookup }) => !lookup)
      .map(async ({ name, key, columns }) => {
        const target = `"${schema}"."${name}"`
        const [sum] = await query<{ rows: number }>('replay.count', `select count(*)::int as rows from ${target}`)
        const shown = columns.map((column) =>
          column.column.kind === 'moment'
            ? `to_char("${column.name}" at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "${column.name}"`
            : `"${column.name}"::text`,
        )
        const order = key.map((column) => `t."${column.name}"`).join(', ')
        const first = await query<Record<string, string | null>>(
          'replay.first',
          `select ${shown} from ${target} t order by ${order} limit ${rowsShown}`,
        )
        return { name, rows: sum?.rows ?? 0, first }
      }),
  )

/** Returns the tables as lines for people. */
export const printTables = (schema: string, tables: readonly ShownTable[]): string[] =>
  tables.flatMap(({ name, rows, first }) => {
    const columns = Object.keys(first[0] ?? {})
    const width = (column: string) => Math.max(column.length, ...first.map((row) => row[column]?.length ?? 0))
    const line = (cell: (column: string) => string) =>
      `  ${columns.map((column) => cell(column).padEnd(width(column))).join('  ')}`.trimEnd()
    return [
      `\n${schema}.${name}: ${counted(rows, 'row')}${rows > first.length ? `, the first ${first.length}` : ''}`,
      ...(first.length > 0
        ? [line((column) => column), ...first.map((row) => line((column) => row[column] ?? ''))]
        : []),
    ]
  })
