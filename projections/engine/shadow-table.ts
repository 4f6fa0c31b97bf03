import type { Query } from '../../infra/postgres.ts'
import type { TableAccess } from './table.ts'

/** The live table and the table of a version that is being built. Each function here is one step of the caller's
 *  transaction. The names come from the code, never from input. */
type Tables = { readonly live: TableAccess; readonly shadow: TableAccess }

const CONSTRAINTS = `select conname as name, pg_get_constraintdef(oid) as definition, contype = 'p' as "isKey"
  from pg_constraint where conrelid = $1::regclass and contype in ('p', 'u', 'x') order by conname`

const INDEXES = `select pg_get_indexdef(i.indexrelid) as definition from pg_index i
  where i.indrelid = $1::regclass and not exists (select from pg_constraint c where c.conindid = i.indexrelid)`

const COLUMNS = `select coalesce(string_agg(format('%s %s %s', attname, format_type(atttypid, atttypmod), attnotnull), ', '
  order by attname), '') as columns
  from pg_attribute where attrelid = to_regclass($1) and attnum > 0 and not attisdropped`

const GRANTS = `select format('grant %s on table %s to %s', g.privilege_type, $2::text,
    case g.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(g.grantee)) end) as grant
  from pg_class c, aclexplode(c.relacl) g where c.oid = $1::regclass and g.grantee <> c.relowner`

type Constraint = { readonly name: string; readonly definition: string; readonly isKey: boolean }

const constraintsOf = (query: Query, { name }: TableAccess) =>
  query<Constraint>('shadow.constraints', CONSTRAINTS, [name])

const addConstraint = (query: Query, { name }: TableAccess, constraint: Constraint) =>
  query('shadow.constraint', `alter table ${name} add constraint "${constraint.name}" ${constraint.definition}`)

/** Creates an empty table with the columns and the primary key of the live one. Other indexes are cheaper to create at
 *  the end. */
export const createShadow = async (query: Query, { live, shadow }: Tables): Promise<void> => {
  await dropShadow(query, shadow)
  await query('shadow.create', `create table ${shadow.name} (like ${live.name} including all excluding indexes)`)
  for (const constraint of await constraintsOf(query, live))
    if (constraint.isKey) await addConstraint(query, shadow, constraint)
}

/** Resolves to false when there is no shadow table, or when a migration has changed the live table since it was
 *  created. */
export const shadowFits = async (query: Query, { live, shadow }: Tables): Promise<boolean> => {
  const columns = async ({ name }: TableAccess) =>
    (await query<{ columns: string }>('shadow.columns', COLUMNS, [name]))[0]?.columns
  return (await columns(live)) === (await columns(shadow))
}

/** Creates the indexes that only the live table has, under the same names, and updates the statistics of the
 *  planner. */
export const completeShadow = async (query: Query, { live, shadow }: Tables): Promise<void> => {
  const existing = new Set((await constraintsOf(query, shadow)).map(({ name }) => name))
  for (const constraint of await constraintsOf(query, live))
    if (!existing.has(constraint.name)) await addConstraint(query, shadow, constraint)
  for (const { definition } of await query<{ definition: string }>('shadow.indexes', INDEXES, [live.name]))
    await query(
      'shadow.index',
      definition
        .replace(/^CREATE (UNIQUE )?INDEX /, 'CREATE $1INDEX IF NOT EXISTS ')
        .replace(` ON ${live.name} `, ` ON ${shadow.name} `),
    )
  await query('shadow.analyze', `analyze ${shadow.name}`)
}

/** Replaces the live table by the shadow table and keeps its grants. Queries wait for the end of the transaction, then
 *  read the new table. `lockMsMax` bounds how long they wait because of a query that is still running: after it, throws
 *  with SQLSTATE 55P03. */
export const swapShadow = async (query: Query, { live, shadow }: Tables, lockMsMax: number): Promise<void> => {
  const schema = live.name.slice(0, live.name.indexOf('.'))
  await query('shadow.timeout', `set local lock_timeout = ${lockMsMax}`)
  const grants = await query<{ grant: string }>('shadow.grants', GRANTS, [live.name, live.name])
  await query('shadow.dropLive', `drop table ${live.name}`)
  await query('shadow.rename', `alter table ${shadow.name} set schema ${schema}`)
  for (const { grant } of grants) await query('shadow.grant', grant)
}

const dropShadow = async (query: Query, shadow: TableAccess): Promise<void> => {
  await query('shadow.drop', `drop table if exists ${shadow.name}`)
}
