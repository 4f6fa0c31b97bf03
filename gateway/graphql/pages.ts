import { cursorCharactersMax, cursorOf, type Page, type PageRequest } from '../../projections/page.ts'
import { builder, type ObjectType } from './builder.ts'
import { limited } from './input-limits.ts'

/** How many nodes a page has when the client does not ask for a number. */
export const firstDefault = 20

/** The limit of a cursor of a list. */
export const cursorLimit = { charactersMax: cursorCharactersMax }

/** Returns the connection type of a node, as Relay defines it. */
export const connectionOf = <Row extends object>(name: string, node: ObjectType<Row>) =>
  builder.connectionObject({ type: node, name: `${name}Connection` }, { name: `${name}Edge` })

/** `atLeast` makes a query show at least what its client has just done. */
export const atLeastArgument = builder.args((t) => ({
  atLeast: t.field({
    type: 'Position',
    description:
      'Answers as of this position or later. Waits up to 5 seconds for it, then fails with POSITION_NOT_REACHED.',
  }),
}))

/** The arguments of every list; its pages go forwards. */
export const pageArguments = builder.args((t) => ({
  first: t.int({ defaultValue: firstDefault, description: 'The number of nodes, 1 to 100.' }),
  after: t.string({ description: 'The endCursor of the previous page.', ...limited(cursorLimit) }),
}))

/** Returns the page request of these arguments, with the default size. */
export const pageRequest = (page: {
  first?: number | null | undefined
  after?: string | null | undefined
}): PageRequest => ({
  first: page.first ?? firstDefault,
  after: page.after ?? undefined,
})

/** Returns a page of rows as a Relay connection.
 *  @param sortKeyOf returns what the list is sorted by: the cursor of a row is its sort key. */
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
