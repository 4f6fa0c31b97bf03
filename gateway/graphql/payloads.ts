import { isRefusal } from '../../domain/errors.ts'
import type { Position } from '../../infra/event-store/port.ts'
import type { ReadModels } from '../../projections/database.ts'
import { builder } from './builder.ts'
import { nodeAt } from './context.ts'
import { Refused } from './errors.ts'

type RefTo<Value extends object> = ReturnType<typeof builder.objectRef<Value>>

/** What a mutation answers with: it was done, or it was refused. */
export const payloadOf = <Success extends object>(name: string, success: RefTo<Success>) =>
  builder.unionType(`${name}Payload`, {
    types: [success, Refused],
    resolveType: (answer) => (isRefusal(answer) ? Refused : success),
  })

/** What was changed, and where in the log. */
export type NodeAnswer = { readonly id: string; readonly position: Position }

/** The payload of a mutation that changes one node: it is shown under `field`, as of the position. */
export const nodePayloadOf = <Row extends object>(
  name: string,
  field: string,
  node: RefTo<Row>,
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
        // Pothos asks whether the node is a list, and cannot tell while the row is a parameter: the callers' rows are none.
        resolve: ({ id, position }, _, context) =>
          nodeAt(context, position, () => find(context.services.read, id)) as never,
      }),
      position: t.expose('position', { type: 'Position' }),
    }),
  })
  return payloadOf(name, Success)
}
