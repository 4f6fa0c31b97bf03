import type { EventStore, Position } from '../../infra/event-store/port.ts'
import type { Projection } from '../../projections/engine/projection.ts'
import type { AnyRow } from '../../projections/engine/table.ts'
import { type Update, updates } from '../../projections/engine/updates.ts'
import { builder } from './builder.ts'
import type { Context } from './context.ts'
import { asGraphQLError } from './mask.ts'

/** The argument of every subscription. */
export const afterArgument = builder.args((t) => ({
  after: t.field({
    type: 'Position',
    description: 'Resume after this position: first what came since then, then live. Nothing is left out or repeated.',
  }),
}))

type RowUpdateOptions<Row extends AnyRow> = {
  readonly projection: Projection<Row>
  readonly after: string | null | undefined
  /** Only what happens in this stream; it then begins with a snapshot, unless it resumes. */
  readonly stream?: string
  readonly matches?: (row: Row) => boolean
}

/** What changes in a read model, for one subscriber. The subscriber's pace is the pace. Ends when the subscriber leaves or
 *  the gateway closes. Throws POSITION_FOREIGN. */
export const rowUpdates = <Row extends AnyRow>(
  { services: { store }, closing }: Context,
  { after, ...wanted }: RowUpdateOptions<Row>,
): AsyncIterableIterator<Update<Row>> =>
  cancellable(closing, (signal) => updates({ ...wanted, store, after: parsePosition(store, after), signal }))

/** Throws POSITION_FOREIGN. */
export const parsePosition = (store: EventStore, text: string | null | undefined): Position | undefined =>
  text === null || text === undefined ? undefined : store.parsePosition(text)

/** What a subscription gives to one subscriber, until that leaves or the gateway closes. A generator cannot be told to return
 *  while it waits for its next value: leaving must abort what it waits for. */
export const cancellable = <Value>(
  closing: AbortSignal,
  open: (signal: AbortSignal) => AsyncGenerator<Value, void, undefined>,
): AsyncIterableIterator<Value> => {
  const leaving = new AbortController()
  const values = open(AbortSignal.any([closing, leaving.signal]))
  return {
    next: async () => {
      try {
        return await values.next()
      } catch (error) {
        // Only errors of this kind reach the subscriber; any other would cut the connection without a word.
        throw asGraphQLError(error)
      }
    },
    return: async () => {
      leaving.abort()
      await values.return()
      return { done: true, value: undefined }
    },
    throw: async (error) => {
      leaving.abort()
      return values.throw(error)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
