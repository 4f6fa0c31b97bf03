// The rows while a replay runs. A fold reads and writes them synchronously, as if all were in memory. Only recent ones
// are; the others lie in the schema that is being built. When a fold needs a row that is not in memory, its changes are
// discarded, the row is loaded, and the fold runs again: it is pure, so the result is the same.

import type { AnyRow, AnyRows, ColumnShape, Rows, TableShape } from '../../analysis/replay.ts'
import { Failure } from '../../domain/errors.ts'
import { normalize, takenBy } from './columns.ts'

/** Holds the rows that are not in memory. */
export type Storage = {
  load(table: TableShape, keys: readonly AnyRow[]): Promise<readonly AnyRow[]>
  save(table: TableShape, rows: readonly AnyRow[]): Promise<void>
  remove(table: TableShape, keys: readonly AnyRow[]): Promise<void>
}

export type State = {
  /** Runs one fold. Returns false when it needs rows that are not in memory: then nothing has changed, and
   *  `fetchMissing` loads them. Changes in tables of the result are discarded when `counts` is false. */
  attempt(fold: (rows: AnyRows) => void, counts: boolean): boolean
  /** Runs a fold only to find the rows that it will need. */
  collectMissing(fold: (rows: AnyRows) => void): void
  /** Loads the rows that folds needed. */
  fetchMissing(): Promise<void>
  /** Writes rows beyond the limit and evicts them from memory. To be called between batches. */
  evict(): Promise<void>
  /** Writes all rows that are not written yet. */
  flush(): Promise<void>
}

/** `row` is undefined for a row that is known not to exist. */
type Entry = { readonly key: AnyRow; readonly row: AnyRow | undefined; saved: boolean }

class RowMissing extends Error {}

/** Returns the identity of a row within its table, from its key. */
const idOf = ({ key: [first, ...more] }: TableShape, row: AnyRow): string => {
  const text = ({ property }: ColumnShape) => String(row[property])
  return first && more.length === 0 ? text(first) : JSON.stringify([first, ...more].map((part) => part && text(part)))
}

/** Returns a row of exactly the columns, each value in one form. Throws REPLAY_ROW_INVALID. */
const normalizeRow = (table: TableShape, columns: readonly ColumnShape[], given: AnyRow): AnyRow =>
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

/** Makes one table in three layers: changes of the running fold, over rows in memory, over the storage. */
const createTable = (shape: TableShape, storage: Storage) => {
  const overlay = new Map<string, Entry>()
  const missing = new Map<string, AnyRow>()
  // Two halves instead of a list in order of use: a used row goes to the young half, and the old half is evicted as a
  // whole.
  let young = new Map<string, Entry>()
  let old = new Map<string, Entry>()
  /** True when the storage may have rows that are not in memory. */
  let spilled = false

  const find = (id: string): Entry | undefined => {
    const entry = young.get(id) ?? old.get(id)
    if (entry !== undefined) young.set(id, entry)
    return entry
  }
  const rows: Rows<AnyRow, AnyRow> = {
    get: (given) => {
      const key = normalizeRow(shape, shape.key, given)
      const id = idOf(shape, key)
      const found = overlay.get(id) ?? find(id)
      if (found !== undefined || !spilled) return found?.row
      missing.set(id, key)
      throw new RowMissing(`the row ${id} of ${shape.property} is being loaded`)
    },
    set: (given) => {
      const row = normalizeRow(shape, shape.columns, given)
      overlay.set(idOf(shape, row), { key: row, row, saved: false })
    },
    delete: (given) => {
      const key = normalizeRow(shape, shape.key, given)
      overlay.set(idOf(shape, key), { key, row: undefined, saved: false })
    },
  }
  /** Saves the young half; the old half was saved when it was young. */
  const save = async () => {
    const unsaved = [...young.values()].filter((entry) => !entry.saved)
    const removed = unsaved.flatMap(({ key, row }) => (row ? [] : [key]))
    if (removed.length > 0) await storage.remove(shape, removed)
    const changed = unsaved.flatMap(({ row }) => (row ? [row] : []))
    if (changed.length > 0) await storage.save(shape, changed)
    for (const entry of unsaved) entry.saved = true
  }
  return {
    shape,
    rows,
    missing,
    size: () => young.size,
    discard: () => overlay.clear(),
    commit: () => {
      for (const [id, entry] of overlay) {
        young.set(id, entry)
        old.delete(id)
      }
      overlay.clear()
    },
    fetchMissing: async () => {
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
    evictOld: () => {
      spilled ||= old.size > 0
      old = young
      young = new Map()
    },
  }
}

/** Makes the state of a replay.
 *  @param rowsMax roughly how many rows may be in memory between two batches, all tables together. */
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
        for (const { shape, commit, discard } of tables)
          if (counts || shape.lookup) commit()
          else discard()
        return true
      } catch (error) {
        if (isMissing()) return false
        throw error
      } finally {
        for (const { discard } of tables) discard()
      }
    },
    collectMissing: (fold) => {
      try {
        fold(handles)
      } catch {
        // It ran without the events before it; a real error will show when it is attempted.
      } finally {
        for (const { discard } of tables) discard()
      }
    },
    fetchMissing: async () => {
      for (const { fetchMissing } of tables) await fetchMissing()
    },
    evict: async () => {
      const young = tables.reduce((sum, { size }) => sum + size(), 0)
      if (young * 2 < rowsMax) return
      for (const { save, evictOld } of tables) {
        await save()
        evictOld()
      }
    },
    flush: async () => {
      for (const { save } of tables) await save()
    },
  }
}
