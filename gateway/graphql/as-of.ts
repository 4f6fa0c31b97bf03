import { Failure } from '../../domain/errors.ts'
import { type PastMoment, type Projection, rowsAsOf } from '../../projections/engine/projection.ts'
import type { AnyRow } from '../../projections/engine/table.ts'
import { builder } from './builder.ts'
import { type Context, reachPosition } from './context.ts'
import { isExactlyOne } from './inputs.ts'

const AsOf = builder.inputType('AsOf', {
  description: 'A moment of the past: a time or a position, exactly one of them.',
  fields: (t) => ({
    time: t.field({ type: 'DateTime', description: 'What happened at this very moment is seen.' }),
    position: t.field({ type: 'Position', description: 'The event at this position is seen.' }),
  }),
})

/** `asOf` makes a query show a node as it was at a past moment. */
export const asOfArgument = builder.args((t) => ({
  asOf: t.field({
    type: AsOf,
    description: 'The node as it was then, folded from its events; the nodes that it points to are as of now.',
  }),
}))

/** `asOf` makes a query show a list as it was at a past moment. */
export const listAsOfArgument = builder.args((t) => ({
  asOf: t.field({
    type: AsOf,
    description:
      'The list as it was then: its nodes as they were, filtered by what they were. Pages go together when all of them ask for the same moment. The nodes that they point to are as of now.',
  }),
}))

/** The `asOf` argument as a client sends it. */
export type AsOfInput = typeof AsOf.$inferInput | null | undefined

/** Returns the moment of an `asOf` input. Throws INPUT_INVALID, POSITION_FOREIGN. */
const parseMoment = ({ services: { store } }: Context, { time, position }: NonNullable<AsOfInput>): PastMoment => {
  if (!isExactlyOne(time, position))
    throw new Failure('INPUT_INVALID', { asOf: 'takes exactly one of time and position' })
  return position ? { position: store.parsePosition(position) } : { time: time ?? '' }
}

/** Resolves to the moment of an `asOf` input of a list, once the read models have reached it when it is a position.
 *  Undefined without an input, which means now. Throws INPUT_INVALID, POSITION_FOREIGN, POSITION_NOT_REACHED. */
export const reachMoment = async (context: Context, asOf: AsOfInput): Promise<PastMoment | undefined> => {
  if (!asOf) return undefined
  const moment = parseMoment(context, asOf)
  if ('position' in moment) await reachPosition(context, moment.position)
  return moment
}

/** Resolves to the rows of a stream as of a moment, by key. Throws INPUT_INVALID, POSITION_FOREIGN. */
export const rowsAt = <Row extends AnyRow>(
  context: Context,
  asOf: NonNullable<AsOfInput>,
  past: { readonly projection: Projection<Row>; readonly stream: string },
): Promise<Map<string, Row>> => {
  const moment = parseMoment(context, asOf)
  const until = 'time' in moment ? { untilTime: moment.time } : { untilPosition: moment.position }
  return rowsAsOf({ store: context.services.store, ...past, ...until })
}

/** Resolves to the row of a stream as of a moment, or to what `findNow` returns without one; undefined when the row did
 *  not exist. Throws INPUT_INVALID, POSITION_FOREIGN. */
export const rowAt = async <Row extends AnyRow>(
  context: Context,
  asOf: AsOfInput,
  { id, ...past }: { readonly projection: Projection<Row>; readonly stream: string; readonly id: string },
  findNow: () => Promise<Row | undefined>,
): Promise<Row | undefined> => (asOf ? (await rowsAt(context, asOf, past)).get(id) : findNow())
