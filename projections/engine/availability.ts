import { type Details, Failure } from '../../domain/errors.ts'
import { sleep } from '../../infra/async/sleep.ts'

/** The longest that a query waits for the first build of a read model. It is enough for a short log. */
const waitMsMax = 3_000
const pollMs = 50

/** Thrown while a query is composed, before it is sent to the database. */
class NotServed extends Error {
  readonly projection: string
  constructor(projection: string) {
    super(`${projection} is not served yet`)
    this.projection = projection
  }
}

export type ReadModelAvailability = {
  /** Throws, for `runWhenServed`, when the query uses a table of a read model that is not known to be served. */
  check(query: unknown): void
  /** Runs a function that composes and sends a query. When the query uses a read model that was never built, waits for
   *  the build for some seconds, then throws READ_MODEL_BUILDING. */
  runWhenServed<T>(query: () => Promise<T>): Promise<T>
}

/** Keeps queries away from read models whose first build is not complete: an empty table would be taken for an empty
 *  history. A read model that was served once is served forever, so this costs nothing later.
 *  @param projectionOf returns the read model whose table has this name in queries; undefined for other tables.
 *  @param readServed resolves to the names of the read models that are served now.
 *  @param progress resolves to the details of the failure for a read model that is not served. */
export const createAvailability = ({
  projectionOf,
  readServed,
  progress,
}: {
  readonly projectionOf: (table: string) => string | undefined
  readonly readServed: () => Promise<readonly string[]>
  readonly progress: (projection: string) => Promise<Details>
}): ReadModelAvailability => {
  const served = new Set<string>()
  return {
    check: (query) => {
      for (const table of tablesIn(query)) {
        const projection = projectionOf(table)
        if (projection !== undefined && !served.has(projection)) throw new NotServed(projection)
      }
    },
    runWhenServed: async (query) => {
      for (const until = performance.now() + waitMsMax; ; ) {
        try {
          return await query()
        } catch (error) {
          if (!(error instanceof NotServed)) throw error
          const { projection } = error
          for (const name of await readServed()) served.add(name)
          if (served.has(projection)) continue
          if (performance.now() > until)
            throw new Failure('READ_MODEL_BUILDING', { projection, ...(await progress(projection)) })
          await sleep(pollMs)
        }
      }
    },
  }
}

/** Yields the names of all tables in a query of the query builder, at any depth. */
function* tablesIn(node: unknown): Generator<string> {
  if (typeof node !== 'object' || node === null) return
  if ('kind' in node && node.kind === 'TableNode' && 'table' in node) {
    const { identifier } = node.table as { readonly identifier?: { readonly name?: string } }
    if (identifier?.name !== undefined) yield identifier.name
    return
  }
  // Values are not searched: they name no tables, and may be long.
  if ('kind' in node && (node.kind === 'ValueNode' || node.kind === 'PrimitiveValueListNode')) return
  for (const part of Object.values(node)) yield* tablesIn(part)
}
