import { setTimeout as delay } from 'node:timers/promises'
import { type Details, Failure } from '../../domain/errors.ts'

/** A query waits so long for a read model that is being built for the first time, which is enough for a short log. */
const waitMsMax = 3_000
const pollMs = 50

/** Thrown while a query is made, before it is sent. */
class NotServed extends Error {
  readonly projection: string
  constructor(projection: string) {
    super(`${projection} is not served yet`)
    this.projection = projection
  }
}

export type ReadModelAvailability = {
  /** Lets a query pass. Throws, for `orWait`, when it asks a table of a read model that is not known to be served. */
  check(query: unknown): void
  /** Runs what makes and sends a query; when that asks a read model that was never built, waits for it for some seconds, then
   *  throws READ_MODEL_BUILDING. */
  orWait<T>(query: () => Promise<T>): Promise<T>
}

/** Keeps queries from read models whose first build is not done: an empty table would be taken for an empty history. A read
 *  model that was served once is served for ever, so this costs nothing later.
 *  @param projectionOf the read model whose table has this name, as queries name it; undefined for other tables.
 *  @param look the names of the read models that are served now.
 *  @param progress what to tell of one that is not. */
export const createAvailability = ({
  projectionOf,
  look,
  progress,
}: {
  readonly projectionOf: (table: string) => string | undefined
  readonly look: () => Promise<readonly string[]>
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
    orWait: async (query) => {
      for (const until = performance.now() + waitMsMax; ; ) {
        try {
          return await query()
        } catch (error) {
          if (!(error instanceof NotServed)) throw error
          const { projection } = error
          for (const name of await look()) served.add(name)
          if (served.has(projection)) continue
          if (performance.now() > until)
            throw new Failure('READ_MODEL_BUILDING', { projection, ...(await progress(projection)) })
          await delay(pollMs)
        }
      }
    },
  }
}

/** The tables that a query of the query builder names, wherever in it. */
function* tablesIn(node: unknown): Generator<string> {
  if (typeof node !== 'object' || node === null) return
  if ('kind' in node && node.kind === 'TableNode' && 'table' in node) {
    const { identifier } = node.table as { readonly identifier?: { readonly name?: string } }
    if (identifier?.name !== undefined) yield identifier.name
    return
  }
  // A value is no part of the query's text, and may be long.
  if ('kind' in node && (node.kind === 'ValueNode' || node.kind === 'PrimitiveValueListNode')) return
  for (const part of Object.values(node)) yield* tablesIn(part)
}
