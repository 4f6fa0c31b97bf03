import {
  type GraphQLField,
  type GraphQLInputType,
  type GraphQLObjectType,
  getNamedType,
  getNullableType,
  isEnumType,
  isInputObjectType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  isUnionType,
} from 'graphql'
import { schema } from './schema.ts'

type Field = GraphQLField<unknown, unknown>

/** A way from the root of the schema to a field: the fields on it, the last one being a leaf. */
export type Way = readonly Field[]

const fieldsOf = (type: GraphQLObjectType): Field[] => Object.values(type.getFields())

/** Returns the ways from a type to each of its leaves, without passing a type twice. */
const waysFrom = (type: GraphQLObjectType, passed: readonly GraphQLObjectType[] = []): Way[] =>
  fieldsOf(type).flatMap((field) => {
    const named = getNamedType(field.type)
    if (isLeafType(named)) return [[field]]
    if (!isObjectType(named) || named === type || passed.includes(named)) return []
    return waysFrom(named, [...passed, type]).map((way) => [field, ...way])
  })

const root = (type: GraphQLObjectType | null | undefined): GraphQLObjectType => {
  if (!type) throw new Error('The schema has no such root')
  return type
}

/** Returns whether a field returns text, anything in JSON, or a list of something. */
const grows = ({ type }: Field): boolean => {
  const nullable = getNullableType(type)
  return isListType(nullable) || ['ID', 'JSON', 'String'].includes(getNamedType(type).name)
}

/** Returns the shortest way to each field of queries that returns text or a list: one for each type of the field
 *  above.
 *  @param isWanted whether ways that begin with this field of the root count. */
export const queryWays = (isWanted: (name: string | undefined) => boolean = () => true): Way[] => {
  const ways = waysFrom(root(schema.getQueryType()))
    .filter((way) => isWanted(way[0]?.name) && grows(way.at(-1) as Field))
    .toSorted((a, b) => a.length - b.length)
  const shortest = new Map<string, Way>()
  for (const way of ways) {
    const key = `${way.at(-2)?.type} ${way.at(-1)?.name}`
    if (!shortest.has(key)) shortest.set(key, way)
  }
  return [...shortest.values()]
}

/** Returns the query for a way, each field with its arguments.
 *  @param aliases how often the field at the depth `at` is asked for, each under another name. */
export const queryOf = (
  way: Way,
  argumentsOf: (field: Field) => string,
  { aliases, at }: { readonly aliases: number; readonly at: number },
): string => {
  const select = (depth: number): string => {
    const field = way[depth]
    if (!field) return ''
    const inner = select(depth + 1)
    const one = `${field.name}${argumentsOf(field)}${inner && ` { ${inner} }`}`
    if (depth !== at) return one
    return Array.from({ length: aliases }, (_, index) => `a${index}: ${one}`).join(' ')
  }
  return `{ ${select(0)} }`
}

/** An operation with one text of its input left open, as a variable `$text`. */
export type TextInput = {
  readonly name: string
  readonly kind: Kind
  readonly query: string
}

const isText = (type: GraphQLInputType): boolean =>
  isLeafType(type) && ['ID', 'String', 'Position', 'DateTime'].includes(type.name)

/** By name of a field of an input, the value that it gets. */
type Values = Readonly<Record<string, string>>

/** Returns a value of the type in the syntax of GraphQL; `$text` is put where the path leads. */
const literalOf = (type: GraphQLInputType, path: readonly string[], values: Values = {}): string => {
  const nullable = getNullableType(type)
  if (isListType(nullable)) return `[${literalOf(nullable.ofType, path, values)}]`
  if (isInputObjectType(nullable)) {
    const [next, ...rest] = path
    const fields = Object.values(nullable.getFields()).flatMap((field) => {
      if (field.name === next) return [`${field.name}: ${literalOf(field.type, rest, values)}`]
      if (values[field.name] !== undefined) return [`${field.name}: ${JSON.stringify(values[field.name])}`]
      return isNonNullType(field.type) ? [`${field.name}: ${literalOf(field.type, [], values)}`] : []
    })
    return `{ ${fields.join(', ')} }`
  }
  if (path[0] === '$text') return '$text'
  if (isEnumType(nullable)) return nullable.getValues()[0]?.name ?? 'null'
  if (nullable.name === 'Int' || nullable.name === 'Float') return '1'
  return nullable.name === 'Boolean' ? 'true' : '"1"'
}

const pathsIn = (
  type: GraphQLInputType,
  passed: readonly string[] = [],
): { readonly path: readonly string[]; readonly type: string }[] => {
  const named = getNamedType(type)
  if (isInputObjectType(named))
    return passed.includes(named.name)
      ? []
      : Object.values(named.getFields()).flatMap((field) =>
          pathsIn(field.type, [...passed, named.name]).map(({ path, type: leaf }) => ({
            path: [field.name, ...path],
            type: leaf,
          })),
        )
  return isText(named) ? [{ path: ['$text'], type: named.name }] : []
}

/** Returns the shortest selection of a result. */
const selectionOf = (field: Field): string => {
  const named = getNamedType(field.type)
  if (isUnionType(named)) return '{ ... on Error { code message hint details { name value } } }'
  return isObjectType(named) ? '{ __typename }' : ''
}

const kinds = ['query', 'mutation', 'subscription'] as const
type Kind = (typeof kinds)[number]

const rootFields = (kind: Kind): Field[] => {
  const types = {
    query: schema.getQueryType(),
    mutation: schema.getMutationType(),
    subscription: schema.getSubscriptionType(),
  }
  return fieldsOf(root(types[kind]))
}

/** Returns an operation for each field of a root, under the alias `answer`, with the arguments that it must have and
 *  those that `valuesOf` has a value for, by their name and by that of the fields of inputs. */
export const operationsOf = (
  kind: Kind,
  valuesOf: (field: string) => Values,
): { readonly name: string; readonly operation: string }[] =>
  rootFields(kind).map((field) => {
    const values = valuesOf(field.name)
    const given = field.args.flatMap(({ name, type }) => {
      if (values[name] !== undefined) return [`${name}: ${JSON.stringify(values[name])}`]
      return isNonNullType(type) ? [`${name}: ${literalOf(type, [], values)}`] : []
    })
    const parameters = given.length === 0 ? '' : `(${given.join(', ')})`
    return { name: field.name, operation: `${kind} { answer: ${field.name}${parameters} ${selectionOf(field)} }` }
  })

/** Returns an operation for each text that the schema takes. */
export const textInputs = (): TextInput[] =>
  kinds.flatMap((kind) =>
    rootFields(kind).flatMap((field) =>
      field.args.flatMap((argument) =>
        pathsIn(argument.type).map(({ path, type }) => {
          const others = field.args.filter((other) => other !== argument && isNonNullType(other.type))
          const given = [
            `${argument.name}: ${literalOf(argument.type, path)}`,
            ...others.map((other) => `${other.name}: ${literalOf(other.type, [])}`),
          ]
          const query = `${kind} ($text: ${type}!) { ${field.name}(${given.join(', ')}) ${selectionOf(field)} }`
          return { name: `${field.name} ${argument.name}.${path.slice(0, -1).join('.')}`, kind, query }
        }),
      ),
    ),
  )
