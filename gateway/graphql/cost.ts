import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLCompositeType,
  type GraphQLField,
  type GraphQLOutputType,
  type GraphQLSchema,
  getNamedType,
  getOperationAST,
  isCompositeType,
  isInterfaceType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  type SelectionSetNode,
  valueFromASTUntyped,
} from 'graphql'
import { pageRowsMax } from '../../projections/page.ts'
import { createSchemaCost } from './introspection.ts'
import { firstDefault } from './pages.ts'
import { fieldCosts, leafBytes, listItems, textBytes } from './sizes.ts'

/** What an operation may answer with, estimated before anything is read: how many values of fields, and how many bytes
 *  of JSON. */
export type Cost = { readonly fields: number; readonly bytes: number }

/** An operation of a document, as it is executed. */
export type Operation = {
  readonly schema: GraphQLSchema
  readonly document: DocumentNode
  readonly operationName?: string | null | undefined
  readonly variableValues?: Readonly<Record<string, unknown>> | null | undefined
}

const nothing: Cost = { fields: 0, bytes: 0 }
const plus = (a: Cost, b: Cost): Cost => ({ fields: a.fields + b.fields, bytes: a.bytes + b.bytes })
const times = ({ fields, bytes }: Cost, count: number): Cost => ({ fields: fields * count, bytes: bytes * count })

/** The quotes, the colon and the comma of a field, and the brackets of an object. */
const punctuationBytes = 6

const isList = (type: GraphQLOutputType): boolean => isListType(isNonNullType(type) ? type.ofType : type)

/** Returns the cost of an operation, and in `schemaBytes` how many bytes the schema itself takes in its answer. Lists count with as many items as their page has, other lists with as many as
 *  `listItems` has; a field that is left out by a directive counts, and so does each of two that are merged. */
export const costOf = ({
  schema,
  document,
  operationName,
  variableValues,
}: Operation): Cost & { readonly schemaBytes: number } => {
  const operation = getOperationAST(document, operationName)
  if (!operation) return { ...nothing, schemaBytes: 0 }
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  const variables: Record<string, unknown> = {}
  for (const { variable, defaultValue } of operation.variableDefinitions ?? [])
    variables[variable.name.value] =
      variableValues?.[variable.name.value] ?? (defaultValue && valueFromASTUntyped(defaultValue))
  const ofSchema = createSchemaCost(schema, fragments, variables)
  /** A fragment that is spread often is looked at once. */
  const known = new Map<string, Cost>()

  const numberOf = (field: FieldNode, name: string): number | undefined => {
    const value = field.arguments?.find((argument) => argument.name.value === name)?.value
    if (!value || value.kind === Kind.NULL) return undefined
    const given = valueFromASTUntyped(value, variables)
    return typeof given === 'number' ? given : undefined
  }

  /** Returns how much a field is asked for: rows of a page, or bytes of a log; undefined for any other field. */
  const askedOf = (field: FieldNode, { args }: GraphQLField<unknown, unknown>): number | undefined => {
    const takes = (name: string) => args.find((argument) => argument.name === name)
    if (takes('bytesMax'))
      return Math.max(numberOf(field, 'bytesMax') ?? Number(takes('bytesMax')?.defaultValue ?? 0), 0)
    if (!takes('first')) return undefined
    const rows = numberOf(field, 'first') ?? numberOf(field, 'last') ?? firstDefault
    // What is out of range is refused when it is read.
    return Math.min(Math.max(rows, 1), pageRowsMax)
  }

  /** Returns the cost of a field.
   *  @param asked what the field above was asked for. */
  const fieldCost = (field: FieldNode, type: GraphQLCompositeType, asked: number): Cost => {
    const name = field.name.value
    const key = (field.alias?.value ?? name).length + punctuationBytes
    const schemaCost = type === schema.getQueryType() ? ofSchema.costOf(field) : undefined
    if (schemaCost) return schemaCost
    const definition = definitionOf(type, name)
    if (!definition) return { fields: 1, bytes: key + leafBytes.String }
    const path = `${type.name}.${name}`
    const own: Cost = { fields: 1 + (fieldCosts[path] ?? 0), bytes: key }
    const isRows = type.name.endsWith('Connection') && (name === 'edges' || name === 'nodes')
    const most = listItems[path] ?? listItems.default
    // A list that takes `first` itself has as many items as that.
    const items = isList(definition.type)
      ? isRows
        ? asked
        : Math.min(Math.max(numberOf(field, 'first') ?? defaultFirst(definition) ?? most, 1), most)
      : 1
    const named = getNamedType(definition.type)
    if (isCompositeType(named)) {
      const ownAsked = askedOf(field, definition) ?? firstDefault
      const inner = field.selectionSet ? selectionCost(field.selectionSet, named, ownAsked) : nothing
      return plus(plus(own, times(inner, items)), { fields: 0, bytes: textBytes[path]?.(ownAsked) ?? 0 })
    }
    const bytes = textBytes[path]?.(asked) ?? (leafBytes[named.name] ?? leafBytes.default) * items
    return plus(own, { fields: items - 1, bytes })
  }

  const selectionCost = ({ selections }: SelectionSetNode, type: GraphQLCompositeType, asked: number): Cost => {
    let cost = nothing
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) cost = plus(cost, fieldCost(selection, type, asked))
      else if (selection.kind === Kind.INLINE_FRAGMENT)
        cost = plus(
          cost,
          selectionCost(selection.selectionSet, narrowed(type, selection.typeCondition?.name.value), asked),
        )
      else cost = plus(cost, fragmentCost(selection.name.value, asked))
    }
    return cost
  }

  const narrowed = (type: GraphQLCompositeType, name: string | undefined): GraphQLCompositeType => {
    const found = name === undefined ? undefined : schema.getType(name)
    return isCompositeType(found) ? found : type
  }

  const fragmentCost = (name: string, asked: number): Cost => {
    const key = `${asked} ${name}`
    const before = known.get(key)
    if (before) return before
    const fragment = fragments.get(name)
    const type = schema.getType(fragment?.typeCondition.name.value ?? '')
    if (!fragment || !isCompositeType(type)) return nothing
    // Validation refuses fragments that spread themselves; should one come here, it ends.
    known.set(key, nothing)
    const cost = selectionCost(fragment.selectionSet, type, asked)
    known.set(key, cost)
    return cost
  }

  const root = schema.getRootType(operation.operation)
  const cost = root ? selectionCost(operation.selectionSet, root, firstDefault) : nothing
  return { ...cost, schemaBytes: ofSchema.bytes() }
}

const defaultFirst = ({ args }: GraphQLField<unknown, unknown>): number | undefined =>
  args.find(({ name }) => name === 'first')?.defaultValue as number | undefined

const definitionOf = (type: GraphQLCompositeType, name: string): GraphQLField<unknown, unknown> | undefined =>
  isObjectType(type) || isInterfaceType(type) ? type.getFields()[name] : undefined
