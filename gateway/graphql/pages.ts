import { cursorOf, type Page, type PageRequest } from '../../projections/page.ts'
import { builder } from './builder.ts'

export const firstDefault = 20

type RefTo<Row extends object> = ReturnType<typeof builder.objectRef<Row>>

/** The connection of a node, as Relay wants it; pages go forwards. */
export const connectionOf = <Row extends object>(name: string, node: RefTo<Row>) =>
  builder.connectionObject({ type: node, name: `${name}Connection` }, { name: `${name}Edge` })

/** `atLeast` makes a query see what its asker has just done. */
export const atLeastArgument = builder.args((t) => ({
  atLeast: t.field({
    type: 'Position',
    description: 'Answer as of this position or later: wait up to 5 s for it, then POSITION_NOT_REACHED.',
  }),
}))

/** The arguments of every list. */
export const pageArguments = builder.args((t) => ({
  first: t.int({ defaultValue: firstDefault, description: 'How many, 1 to 100.' }),
  after: t.string({ description: 'The endCursor of the page before.' }),
}))

export const pageRequest = (given: {
  first?: number | null | undefined
  after?: string | null | undefined
}): PageRequest => ({
  first: given.first ?? firstDefault,
  after: given.after ?? undefined,
})

/** @param sortKeyOf what the list is sorted by: a cursor is the sort key of its row. */
export const toConnection = <Row>(
  { rows, hasNextPage, hasPreviousPage }: Page<Row> & { readonly hasPreviousPage?: boolean },
  { after }: Pick<PageRequest, 'after'>,
  sortKeyOf: (row: Row) => readonly string[],
) => {
  const edges = rows.map((node) => ({ node, cursor: cursorOf(sortKeyOf(node)) }))
  return {
    edges,
    pageInfo: {
      hasNextPage,
      hasPreviousPage: hasPreviousPage ?? after !== undefined,
      startCursor: edges[0]?.cursor ?? null,
      endCursor: edges.at(-1)?.cursor ?? null,
    },
  }
}
