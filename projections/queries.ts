import type { Kysely } from '@mikro-orm/postgresql'
import { isStorable } from '../domain/text.ts'
import { createBatchLoader } from '../infra/async/batch-loader.ts'
import type { ReadDatabase, ReadModels } from './database.ts'
import { isMoment, type Page, type PageRequest, pageOf, readCursor, rowsToRead } from './page.ts'

/** A column of some read model by which its rows can be listed, the newest first. */
type TimeColumn = 'requestedAt' | 'submittedAt' | 'issuedAt' | 'observedAt'
type Columns = { readonly id: string } & { readonly [Column in TimeColumn]: string }

/** A query of the query builder for rows of this type, which can still be narrowed. */
type Select<Row> = { execute(): Promise<Row[]> }
type RowOf<Query> = Query extends Select<infer Row> ? Row : never

declare const anyTable: Kysely<{ rows: Columns }>
/** What the helpers here see of a query, whatever its table. */
type AnySelect = ReturnType<ReturnType<typeof anyTable.selectFrom<'rows'>>['selectAll']>

/** Returns the function that finds rows by id with one query, in the order asked; undefined stands for an id without a
 *  row. The label names the query for metrics.
 *
 *  @example const findJobs = findByIds('jobs.find', (db) => db.selectFrom('Job').selectAll()) */
export const findByIds =
  <Row extends { readonly id: string }>(label: string, select: (db: ReadDatabase) => Select<Row>) =>
  async (read: ReadModels, ids: readonly string[]): Promise<(Row | undefined)[]> => {
    if (ids.length === 0) return []
    const found = await read.run(label, (db) => {
      const query = (select(db) as unknown as AnySelect).where('id', 'in', [...new Set(ids)])
      return (query as unknown as Select<Row>).execute()
    })
    const rows = new Map(found.map((row) => [row.id, row]))
    return ids.map((id) => rows.get(id))
  }

/** Returns a function that finds one row by id, from one that finds many: those that are asked for at the same time are
 *  one query, whichever request they are for. */
export const findOne = <Row>(findMany: (read: ReadModels, ids: readonly string[]) => Promise<(Row | undefined)[]>) => {
  const loaders = new WeakMap<ReadModels, (id: string) => Promise<Row | undefined>>()
  return (read: ReadModels, id: string): Promise<Row | undefined> => {
    const load = loaders.get(read) ?? createBatchLoader((ids: readonly string[]) => findMany(read, ids))
    loaders.set(read, load)
    return load(id)
  }
}

const rowsAtOnce = 1_000

/** Resolves to all rows of a query, by id. Reads them in pages: each begins after the last id of the one before. The
 *  label names the queries for metrics. */
export const findAll = async <Row extends { readonly id: string }>(
  read: ReadModels,
  label: string,
  select: (db: ReadDatabase) => Select<Row>,
): Promise<readonly Row[]> => {
  const rows: Row[] = []
  for (let page: readonly Row[] | undefined; page === undefined || page.length === rowsAtOnce; ) {
    const after = rows.at(-1)?.id ?? ''
    page = await read.run(label, (db) => {
      const query = (select(db) as unknown as AnySelect).where('id', '>', after).orderBy('id').limit(rowsAtOnce)
      return (query as unknown as Select<Row>).execute()
    })
    rows.push(...page)
  }
  return rows
}

/** Narrows a query to rows that have the given values; a column whose value is undefined may have any. */
export const whereEqual = <Query extends Select<unknown>>(
  query: Query,
  values: { readonly [Column in keyof RowOf<Query>]?: RowOf<Query>[Column] | undefined },
): Query => {
  let narrowed = query as unknown as AnySelect
  for (const [column, value] of Object.entries(values))
    if (value !== undefined) narrowed = narrowed.where(column as keyof Columns, '=', value as string)
  return narrowed as unknown as Query
}

/** Resolves to one page of rows, the newest first by a time column; rows of the same time follow their ids. The label
 *  names the query for metrics. Throws INPUT_INVALID. */
export const newestFirst = async <
  Column extends TimeColumn,
  Row extends { readonly id: string } & { readonly [Time in Column]: string },
>(
  read: ReadModels,
  label: string,
  list: PageRequest,
  column: Column,
  select: (db: ReadDatabase) => Select<Row>,
): Promise<Page<Row>> => {
  const [time, id] = readCursor(list.after, [isMoment, isStorable]) ?? []
  const rows = await read.run(label, (db) => {
    let query = select(db) as unknown as AnySelect
    if (time !== undefined && id !== undefined)
      query = query.where((eb) => eb(eb.refTuple(column as TimeColumn, 'id'), '<', eb.tuple(time, id)))
    const sorted = query
      .orderBy(column as TimeColumn, 'desc')
      .orderBy('id', 'desc')
      .limit(rowsToRead(list))
    return (sorted as unknown as Select<Row>).execute()
  })
  return pageOf(rows, list, (row) => [row[column], row.id])
}
