import {
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLSchema,
  getNamedType,
  isObjectType,
  Kind,
  SchemaMetaFieldDef,
  type SelectionSetNode,
  TypeMetaFieldDef,
  valueFromASTUntyped,
} from 'graphql'

type Field = GraphQLField<unknown, unknown>

const metaFields: Readonly<Record<string, Field | undefined>> = {
  [SchemaMetaFieldDef.name]: SchemaMetaFieldDef,
  [TypeMetaFieldDef.name]: TypeMetaFieldDef,
}

/** What each value of the schema itself costs, in values of fields: a few characters ask for ten thousands of them, and all
 *  are made at once. The standard queries for the whole schema fit into the limits, and little more. */
const valueCost = 5
/** Where counting ends, in the same unit: just above the `fieldsMax` of the limits. */
const costMax = 60_100
/** The quotes, the colon and the comma of a field; the brackets of an object or a list. */
const [fieldBytes, bracketBytes] = [4, 2]

/** Makes the function that returns what a field of the root costs that asks for the schema itself; undefined for any
 *  other. The schema never changes in a process, so the values are those that the answer will have. Counting ends, for all
 *  such fields of an operation together, at `costMax`. */
export const createSchemaCost = (
  schema: GraphQLSchema,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  variables: Record<string, unknown>,
) => {
  let [values, steps, bytes] = [0, 0, 0]
  const cost = () => Math.max(values * valueCost, steps)

  const select = (
    { selections }: Pick<SelectionSetNode, 'selections'>,
    source: unknown,
    fields: Readonly<Record<string, Field | undefined>>,
  ): void => {
    for (const selection of selections) {
      // A spread has no value of its own, and may be repeated without end.
      steps += 1
      if (cost() > costMax) return
      if (selection.kind === Kind.FIELD) add(selection, source, fields[selection.name.value])
      else {
        const within = selection.kind === Kind.INLINE_FRAGMENT ? selection : fragments.get(selection.name.value)
        if (within) select(within.selectionSet, source, fields)
      }
    }
  }
  /** What is known of a field before its values; it stands for thousands of them. */
  const known = new Map<FieldNode, ReturnType<typeof prepare>>()
  const prepare = (node: FieldNode, field: Field | undefined) => {
    const type = field && getNamedType(field.type)
    return {
      keyBytes: (node.alias ?? node.name).value.length + fieldBytes,
      resolve: field?.resolve,
      given: Object.fromEntries(
        (node.arguments ?? []).map(({ name, value }) => [name.value, valueFromASTUntyped(value, variables)]),
      ),
      within: isObjectType(type) && node.selectionSet ? { ...node.selectionSet, fields: type.getFields() } : undefined,
    }
  }
  const add = (node: FieldNode, source: unknown, field: Field | undefined): void => {
    const prepared = known.get(node) ?? prepare(node, field)
    known.set(node, prepared)
    const { keyBytes, resolve, given, within } = prepared
    values += 1
    bytes += keyBytes
    // Validation refuses what is no field; __typename has a value that is as short as a name.
    if (!resolve) {
      bytes += '"__EnumValue"'.length
      return
    }
    const found: unknown = resolve(source, given, undefined, { schema } as never)
    if (Array.isArray(found)) {
      bytes += bracketBytes
      for (const item of found) addItem(item, within)
    } else addItem(found, within)
  }
  const addItem = (item: unknown, within: ReturnType<typeof prepare>['within']): void => {
    if (typeof item === 'string') bytes += Buffer.byteLength(item) + bracketBytes + 1
    else if (!within || !item) bytes += 'false,'.length
    else {
      bytes += bracketBytes + 1
      select(within, item, within.fields)
    }
  }

  return {
    costOf: (field: FieldNode): { readonly fields: number; readonly bytes: number } | undefined => {
      const definition = metaFields[field.name.value]
      if (!definition) return undefined
      const before = { fields: cost(), bytes }
      add(field, undefined, definition)
      return { fields: cost() - before.fields, bytes: bytes - before.bytes }
    },
    /** Returns the bytes of all that was counted. */
    bytes: () => bytes,
  }
}
