import { Failure } from '../../domain/errors.ts'
import { type Projection, rowsAsOf } from '../../projections/projection.ts'
import type { AnyRow } from '../../projections/table.ts'
import { builder } from './builder.ts'
import type { Context } from './context.ts'
import { isOneOf } from './inputs.ts'

const AsOf = builder.inputType('AsOf', {
  description: 'A moment of the past: a time or a position, exactly one of them.',
  fields: (t) => ({
    time: t.field({ type: 'DateTime', description: 'What happened at this very moment is seen.' }),
    position: t.field({ type: 'Position', description: 'The event at this position is seen.' }),
  }),
})

/** `asOf` makes a query show a node as it was. */
export const asOfArgument = builder.args((t) => ({
  asOf: t.field({
    type: AsOf,
    description: 'The node as it was then, folded from its events; the nodes that it points to are as of now.',
  }),
}))

export type Moment = typeof AsOf.$inferInput | null | undefined

/** The rows of a stream as of a moment, by key. Throws INPUT_INVALID, POSITION_FOREIGN. */
export const rowsAt = <Row extends AnyRow>(
  { services: { store } }: Context,
  { time, position }: NonNullable<Moment>,
  past: { readonly projection: Projection<Row>; readonly stream: string },
): Promise<Map<string, Row>> => {
  if (!isOneOf(time, position)) throw new Failure('INPUT_INVALID', { asOf: 'takes exactly one of time and position' })
  const until = position ? { untilPosition: store.parsePosition(position) } : { untilTime: time ?? '' }
  return rowsAsOf({ store, ...past, ...until })
}

/** The row of a stream as of a moment, or as `now` finds it when none is given; undefined when there was none yet.
 *  Throws INPUT_INVALID, POSITION_FOREIGN. */
export const rowAt = async <Row extends AnyRow>(
  context: Context,
  asOf: Moment,
  { id, ...past }: { readonly projection: Projection<Row>; readonly stream: string; readonly id: string },
  now: () => Promise<Row | undefined>,
): Promise<Row | undefined> => (asOf ? (await rowsAt(context, asOf, past)).get(id) : now())
