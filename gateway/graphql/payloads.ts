import { isRefusal } from '../../domain/errors.ts'
import type { Position } from '../../infra/event-store/port.ts'
import type { ReadModels } from '../../projections/database.ts'
import { builder, type ObjectType } from './builder.ts'
import { nodeAt } from './context.ts'
import { Refused } from './errors.ts'

/** Returns the payload type of a mutation: a union of its success and `Refused`. */
export const payloadOf = <Success extends object>(name: string, success: ObjectType<Success>) =>
  builder.unionType(`${name}Payload`, {
    types: [success, Refused],
    resolveType: (answer) => (isRefusal(answer) ? Refused : success),
  })

/** The node that a mutation changed, and the position that shows the change. */
export type NodeAnswer = { readonly id: string; readonly position: Position }

/** Returns the payload type of a mutation that changes one node. The success shows the node under `field`, as of the
 *  position. */
export const nodePayloadOf = <Row extends object>(
  name: string,
  field: string,
  node: ObjectType<Row>,
  find: (read: ReadModels, id: string) => Promise<Row | undefined>,
) => {
  const Success = builder.objectRef<NodeAnswer>(`${name}Success`)
  Success.implement({
    fields: (t) => ({
      id: t.exposeID('id'),
      [field]: t.field({
        type: node,
        nullable: true,
        description: 'Null when the read model is late; ask again with atLeast.',
        // Pothos derives the result type from whether the node is a list, which it cannot do for a type parameter. No
        // caller passes a list.
        resolve: ({ id, position }, _, context, info) =>
          nodeAt(context, position, info, () => find(context.services.read, id)) as never,
      }),
      position: t.expose('position', { type: 'Position' }),
    }),
  })
  return payloadOf(name, Success)
}
