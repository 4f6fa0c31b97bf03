// The rows while a replay runs. A fold reads and writes them at once, as if all were in memory; in truth only those of late
// are, and the others lie in the schema that is being built. When a fold asks for a row that is not here, what it has set is
// thrown away, the row is brought, and the fold runs again: it is pure, so nobody can tell.

import type { AnyRow, AnyRows, ColumnShape, Rows, TableShape } from '../../analysis/replay.ts'
import { Failure } from '../../domain/errors.ts'
import { normalize, takenBy } from './columns.ts'

/** Where rows lie that are not in memory. */
export type Storage = {
  load(table: TableShape, keys: readonly AnyRow[]): Promise<readonly AnyRow[]>
  save(table: TableShape, rows: readonly AnyRow[]): Promise<void>
  remove(table: TableShape, keys: readonly AnyRow[]): Promise<void>
}

export type State = {
  /** Runs one fold. False: it asked for rows that are not here; nothing has changed, and `bring` will bring them. What is set
   *  in tables of the result is dropped when `counts` is false. */
  attempt(fold: (rows: AnyRows) => void, counts: boolean): boolean
  /** Runs a fold only to learn which rows it will ask for. */
  foresee(fold: (rows: AnyRows) => void): void
  /** Brings the rows that were asked for. */
  bring(): Promise<void>
  /** Between batches: writes what is beyond the limit, and forgets it. */
  relieve(): Promise<void>
  /** Writes all that is not written yet. */
  flush(): Promise<void>
}

/** `row` is undefined for one that is known not to exist. */
type Entry = { readonly key: AnyRow; readonly row: AnyRow | undefined; saved: boolean }

class RowMissing extends Error {}

/** Tells rows apart by their key. */
const idOf = ({ key: [first, ...more] }: TableShape, row: AnyRow): string => {
  const text = ({ property }: ColumnShape) => String(row[property])
  return first && more.length === 0 ? text(first) : JSON.stringify([first, ...more].map((part) => part && text(part)))
}

/** Exactly the columns, each in one form. Throws REPLAY_ROW_INVALID. */
const settled = (table: TableShape, columns: readonly ColumnShape[], given: AnyRow): AnyRow =>
  Object.freeze(
    Object.fromEntries(
      columns.map(({ property, column }) => {
        const value = normalize(column, given[property])
        if (value !== undefined) return [property, value]
        const details = {
          table: table.property,
          column: property,
          value: show(given[property]),
          takes: takenBy(column),
        }
        throw new Failure('REPLAY_ROW_INVALID', details)
      }),
    ),
  )

const show = (value: unknown): string =>
  (typeof value === 'bigint'
    ? `${value}n`
    : (JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? `${part}n` : part)) ?? 'undefined')
  ).slice(0, 200)

/** One table: what the running fold has set lies over what is in memory, and that over the storage. */
const createTable = (shape: TableShape, storage: Storage) => {
  const overlay = new Map<string, Entry>()
  const missing = new Map<string, AnyRow>()
  // Two halves instead of a list in order of use: what was used goes to the young one, and the old one is forgotten as a whole.
  let young = new Map<string, Entry>()
  let old = new Map<string, Entry>()
  /** Rows may lie in the storage that are not in memory. */
  let spilled = false

  const find = (id: string): Entry | undefined => {
    const entry = young.get(id) ?? old.get(id)
    if (entry !== undefined) young.set(id, entry)
    return entry
  }
  const rows: Rows<AnyRow, AnyRow> = {
    get: (given) => {
      const key = settled(shape, shape.key, given)
      const id = idOf(shape, key)
      const found = overlay.get(id) ?? find(id)
      if (found !== undefined || !spilled) return found?.row
      missing.set(id, key)
      throw new RowMissing(`the row ${id} of ${shape.property} is being brought`)
    },
    set: (given) => {
      const row = settled(shape, shape.columns, given)
      overlay.set(idOf(shape, row), { key: row, row, saved: false })
    },
    delete: (given) => {
      const key = settled(shape, shape.key, given)
      overlay.set(idOf(shape, key), { key, row: undefined, saved: false })
    },
  }
  /** All of the old half is saved: it was when it was young. */
  const save = async () => {
    const unsaved = [...young.values()].filter((entry) => !entry.saved)
    const removed = unsaved.flatMap(({ key, row }) => (row ? [] : [key]))
    if (removed.length > 0) await storage.remove(shape, removed)
    const kept = unsaved.flatMap(({ row }) => (row ? [row] : []))
    if (kept.length > 0) await storage.save(shape, kept)
    for (const entry of unsaved) entry.saved = true
  }
  return {
    shape,
    rows,
    missing,
    size: () => young.size,
    drop: () => overlay.clear(),
    keep: () => {
      for (const [id, entry] of overlay) {
        young.set(id, entry)
        old.delete(id)
      }
      overlay.clear()
    },
    bring: async () => {
      if (missing.size === 0) return
      const keys = [...missing]
      missing.clear()
      const found = await storage.load(
        shape,
        keys.map(([, key]) => key),
      )
      const byId = new Map(found.map((row) => [idOf(shape, row), Object.freeze(row)]))
      for (const [id, key] of keys) young.set(id, { key, row: byId.get(id), saved: true })
    },
    save,
    forgetOld: () => {
      spilled ||= old.size > 0
      old = young
      young = new Map()
    },
  }
}

/** @param rowsMax how many rows may be in memory between two batches, all tables together, about. */
export const createState = ({
  tables: shapes,
  storage,
  rowsMax,
}: {
  readonly tables: readonly TableShape[]
  readonly storage: Storage
  readonly rowsMax: number
}): State => {
  const tables = shapes.map((shape) => createTable(shape, storage))
  const handles: AnyRows = Object.fromEntries(tables.map(({ shape, rows }) => [shape.property, rows]))
  const isMissing = () => tables.some(({ missing }) => missing.size > 0)

  return {
    attempt: (fold, counts) => {
      try {
        fold(handles)
        // Also when a fold has caught the error.
        if (isMissing()) return false
        for (const { shape, keep, drop } of tables)
          if (counts || shape.lookup) keep()
          else drop()
        return true
      } catch (error) {
        if (isMissing()) return false
        throw error
      } finally {
        for (const { drop } of tables) drop()
      }
    },
    foresee: (fold) => {
      try {
        fold(handles)
      } catch {
        // It ran without what comes before it; what it cannot take shows when its turn has come.
      } finally {
        for (const { drop } of tables) drop()
      }
    },
    bring: async () => {
      for (const { bring } of tables) await bring()
    },
    relieve: async () => {
      const young = tables.reduce((sum, { size }) => sum + size(), 0)
      if (young * 2 < rowsMax) return
      for (const { save, forgetOld } of tables) {
        await save()
        forgetOld()
      }
    },
    flush: async () => {
      for (const { save } of tables) await save()
    },
  }
}
