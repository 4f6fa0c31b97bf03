import { Failure } from '../../domain/errors.ts'
import type { ReadModels } from '../../projections/database.ts'
import type { PastMoment, Projection } from '../../projections/engine/projection.ts'
import type { AnyRow } from '../../projections/engine/table.ts'
import { builder } from './builder.ts'
import { type Context, reachPosition } from './context.ts'
import { isExactlyOne } from './inputs.ts'
import type { Selected } from './models-read.ts'

const AsOf = builder.inputType('AsOf', {
  description: 'A past moment: exactly one of a time and a position.',
  fields: (t) => ({
    time: t.field({ type: 'DateTime', description: 'Includes the events of exactly this time.' }),
    position: t.field({ type: 'Position', description: 'Includes the event at this position.' }),
  }),
})

/** `asOf` makes a query show a node as it was at a past moment. */
export const asOfArgument = builder.args((t) => ({
  asOf: t.field({
    type: AsOf,
    description:
      'Shows the node as it was at this moment, folded from its events. Nodes that it refers to are as of now.',
  }),
}))

/** `asOf` makes a query show a list as it was at a past moment. */
export const listAsOfArgument = builder.args((t) => ({
  asOf: t.field({
    type: AsOf,
    description:
      'Shows the list as it was at this moment: its nodes as they were, filtered by their values at that time. Ask for the same moment on every page. Nodes that they refer to are as of now.',
  }),
}))

/** The `asOf` argument as a client sends it. */
export type AsOfInput = typeof AsOf.$inferInput | null | undefined

/** Returns the moment of an `asOf` input. Throws INPUT_INVALID, POSITION_FOREIGN. */
const parseMoment = ({ services: { store } }: Context, { time, position }: NonNullable<AsOfInput>): PastMoment => {
  if (!isExactlyOne(time, position))
    throw new Failure('INPUT_INVALID', { asOf: 'takes exactly one of time and position' })
  return time ? { time } : { position: store.parsePosition(position ?? '') }
}

/** Resolves to the moment of an `asOf` input of a list, once the read models have reached it when it is a position.
 *  Undefined without an input, which means now. Throws INPUT_INVALID, POSITION_FOREIGN, POSITION_AHEAD,
 *  POSITION_NOT_REACHED. */
export const reachMoment = async (
  context: Context,
  asOf: AsOfInput,
  selected: Selected,
): Promise<PastMoment | undefined> => {
  if (!asOf) return undefined
  const moment = parseMoment(context, asOf)
  if ('position' in moment) await reachPosition(context, moment.position, selected)
  return moment
}

/** Resolves to the rows of a stream as of a moment, by key. Throws INPUT_INVALID, POSITION_FOREIGN, POSITION_AHEAD. */
export const rowsAt = async <Row extends AnyRow>(
  context: Context,
  asOf: NonNullable<AsOfInput>,
  past: { readonly projection: Projection<Row>; readonly stream: string },
): Promise<ReadonlyMap<string, Row>> => {
  const moment = parseMoment(context, asOf)
  // Rows as of a position that does not exist yet would be others tomorrow.
  if ('position' in moment) await context.services.checkExists(moment.position)
  const until = 'time' in moment ? { untilTime: moment.time } : { untilPosition: moment.position }
  const { rows, poison } = await context.services.folds.fold({ ...past, ...until })
  if (poison) throw poison.error
  return rows
}

/** Resolves to the row of a stream as of a moment, or as of now without one; undefined when the row did not exist.
 *  Throws INPUT_INVALID, POSITION_FOREIGN, POSITION_AHEAD, NOT_YOURS.
 *  @param isMine whether the viewer may see a row. It is asked of the row as it is now before anything is folded: a
 *  viewer who may not see that could never see it. */
export const rowAt = async <Row extends AnyRow>(
  context: Context,
  asOf: AsOfInput,
  {
    id,
    find,
    isMine,
    ...past
  }: {
    readonly projection: Projection<Row>
    readonly stream: string
    readonly id: string
    readonly find: (read: ReadModels, id: string) => Promise<Row | undefined>
    readonly isMine?: (row: Row) => boolean
  },
): Promise<Row | undefined> => {
  const own = (row: Row | undefined): Row | undefined => {
    if (row && isMine && !isMine(row)) throw new Failure('NOT_YOURS')
    return row
  }
  const now = asOf && !isMine ? undefined : own(await find(context.services.read, id))
  return asOf ? own((await rowsAt(context, asOf, past)).get(id)) : now
}
