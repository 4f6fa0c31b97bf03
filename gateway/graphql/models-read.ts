import {
  type GraphQLResolveInfo,
  type GraphQLSchema,
  getNamedType,
  isInterfaceType,
  isObjectType,
  isUnionType,
  type SelectionSetNode,
} from 'graphql'

/** The read model that a field of these types reads, by the type that it returns. */
const modelsByType: Readonly<Record<string, string>> = {
  Account: 'accounts',
  Balance: 'accounts',
  Event: 'events',
  Invoice: 'invoices',
  Job: 'jobs',
  LedgerEntry: 'ledger-entries',
  LedgerSum: 'ledger-entries',
  Listing: 'listings',
  Payment: 'payments',
  Provider: 'providers',
  Rental: 'rentals',
}
/** The read model that these fields read, which return no type of their own. */
const modelsByField: Readonly<Record<string, string>> = {
  'Query.gpuModels': 'listings',
  'Query.invoicePeriods': 'invoices',
}

/** The part of a resolver's info that names the field and what is selected below it. */
export type Selected = Pick<
  GraphQLResolveInfo,
  'fieldName' | 'fieldNodes' | 'fragments' | 'parentType' | 'returnType' | 'schema'
>

/** Returns the names of the read models that a field reads, with everything that is selected below it, in the order of
 *  the alphabet. */
export const modelsReadBy = ({ fieldName, fieldNodes, fragments, parentType, returnType, schema }: Selected) => {
  const models = new Set<string>()
  const add = (model: string | undefined) => {
    if (model !== undefined) models.add(model)
  }
  // A document may spread one fragment very often.
  const visited = new Set<string>()
  const visit = (typeName: string, { selections }: SelectionSetNode) => {
    add(modelsByType[typeName])
    for (const selection of selections) {
      if (selection.kind === 'FragmentSpread') {
        const fragment = fragments[selection.name.value]
        if (!fragment || visited.has(selection.name.value)) continue
        visited.add(selection.name.value)
        visit(fragment.typeCondition.name.value, fragment.selectionSet)
      } else if (selection.kind === 'InlineFragment')
        visit(selection.typeCondition?.name.value ?? typeName, selection.selectionSet)
      else {
        add(modelsByField[`${typeName}.${selection.name.value}`])
        const child = childTypeOf(schema, typeName, selection.name.value)
        if (child !== undefined && selection.selectionSet) visit(child, selection.selectionSet)
      }
    }
  }
  add(modelsByField[`${parentType.name}.${fieldName}`])
  const { name } = getNamedType(returnType)
  add(modelsByType[name])
  for (const { selectionSet } of fieldNodes) if (selectionSet) visit(name, selectionSet)
  return [...models].toSorted()
}

const childTypeOf = (schema: GraphQLSchema, typeName: string, field: string): string | undefined => {
  const type = schema.getType(typeName)
  if (isUnionType(type) || !(isObjectType(type) || isInterfaceType(type))) return undefined
  const found = type.getFields()[field]
  return found && getNamedType(found.type).name
}
