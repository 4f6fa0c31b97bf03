import { Failure } from '../../domain/errors.ts'
import type { Position } from '../../infra/event-store/port.ts'
import type { Projection } from '../../projections/engine/projection.ts'
import type { AnyRow } from '../../projections/engine/table.ts'
import { type Update, updates } from '../../projections/engine/updates.ts'
import type { Services } from '../services.ts'
import { builder, type ObjectType } from './builder.ts'
import type { Context } from './context.ts'
import { asGraphQLError } from './mask.ts'

/** The argument of every subscription. */
export const afterArgument = builder.args((t) => ({
  after: t.field({
    type: 'Position',
    description:
      'Resumes after this position: first the events since then, then new events. None is left out or repeated.',
  }),
}))

/** Declares the type of the updates of a subscription: the position to resume after, the type of the event, and under
 *  `field` the node as of the event.
 *  @param startsWithSnapshot true when a subscription without `after` begins with the node as it is now. */
export const updateTypeOf = <Row extends AnyRow>(
  name: string,
  field: string,
  node: ObjectType<Row>,
  { startsWithSnapshot }: { readonly startsWithSnapshot: boolean },
) =>
  builder.objectRef<Update<Row>>(name).implement({
    fields: (t) => ({
      position: t.expose('position', { type: 'Position', description: 'Pass it as after to resume.' }),
      event: t.exposeString('type', {
        description: startsWithSnapshot
          ? 'The type of the event, or Snapshot for the state at the start of the subscription.'
          : 'The type of the event.',
      }),
      [field]: t.field({
        type: node,
        description: 'As of the event.',
        // As in payloads.ts: Pothos cannot derive the result type from a type parameter.
        resolve: ({ row }) => row as never,
      }),
    }),
  })

type RowUpdateOptions<Row extends AnyRow> = {
  readonly projection: Projection<Row>
  readonly after: string | null | undefined
  /** Only the events of this stream. The subscription then begins with a snapshot, unless it resumes. */
  readonly stream?: string
  readonly matches?: (row: Row) => boolean
}

/** Yields the changes of a read model to one subscriber, as fast as the subscriber takes them. Ends when the subscriber
 *  leaves or the gateway closes. Throws what `resumePosition` throws. */
export const rowUpdates = <Row extends AnyRow>(
  { services, closing, catchUp }: Context,
  { after: text, ...options }: RowUpdateOptions<Row>,
): AsyncIterableIterator<Update<Row>> => {
  const { store, folds, parkedAsOf } = services
  return cancellable(closing, async function* (signal) {
    const after = await resumePosition(services, text)
    yield* updates({ ...options, store, folds, parkedAsOf, after, catchUp, signal })
  })
}

/** How much of the log a subscription may read again: about 20,000 events, of 1 kB where the log counts bytes. */
const resumeEventsMax = 20_000
const resumeBytesMax = 20_000_000

/** Resolves to the position to resume after; to undefined for none. Throws POSITION_FOREIGN, POSITION_AHEAD, and
 *  POSITION_TOO_OLD when too much has happened since. */
export const resumePosition = async (
  { store, checkExists }: Pick<Services, 'store' | 'checkExists'>,
  text: string | null | undefined,
  { isBounded = true } = {},
): Promise<Position | undefined> => {
  if (text === null || text === undefined) return undefined
  const after = store.parsePosition(text)
  await checkExists(after)
  if (!isBounded) return after
  const max = store.capabilities.distanceIn === 'events' ? resumeEventsMax : resumeBytesMax
  if (store.distance(after, await store.head()) > max) throw new Failure('POSITION_TOO_OLD', { after })
  return after
}

/** Yields the values of a subscription until the subscriber leaves or the gateway closes. A generator that waits for
 *  its next value cannot return, so leaving aborts what the generator waits for. */
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
        // Only a GraphQLError reaches the subscriber; any other error would close the connection without a message.
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
