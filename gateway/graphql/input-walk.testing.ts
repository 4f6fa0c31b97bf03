import {
  type GraphQLArgument,
  GraphQLEnumType,
  type GraphQLInputField,
  GraphQLInputObjectType,
  type GraphQLInputType,
  GraphQLList,
  GraphQLNonNull,
  GraphQLUnionType,
  getNamedType,
  isLeafType,
} from 'graphql'
import { schema } from './schema.ts'

type Input = GraphQLArgument | GraphQLInputField
/** From an argument down to one of the fields in it. */
type Path = readonly [Input, ...Input[]]

/** A place for a value of clients: an argument or a field below one, with an operation that fills it. */
export type InputPlace = {
  readonly name: string
  readonly input: Input
  readonly operation: string
  /** The smallest value that the place takes; of a list, one item. */
  readonly least: unknown
  /** Returns variables with the value at this place, and the least of all else that is required. */
  variablesOf(value: unknown): Readonly<Record<string, unknown>>
}

const pathsBelow = (input: Input): readonly Path[] => {
  const named = getNamedType(input.type)
  const fields = named instanceof GraphQLInputObjectType ? Object.values(named.getFields()) : []
  return [[input], ...fields.flatMap((field) => pathsBelow(field).map((path): Path => [input, ...path]))]
}

const leastOf = (type: GraphQLInputType): unknown => {
  if (type instanceof GraphQLEnumType) return type.getValues()[0]?.name
  if (String(type) === 'Int') return 1
  return String(type) === 'Boolean' ? true : 'a'
}

/** Returns a value of the type with `value` at the end of the path, and the least of all else that is required. */
const filledOf = (type: GraphQLInputType, path: readonly Input[], value: unknown): unknown => {
  if (type instanceof GraphQLNonNull) return filledOf(type.ofType, path, value)
  const [next, ...rest] = path
  if (type instanceof GraphQLList) return [filledOf(type.ofType, path, value)]
  if (!(type instanceof GraphQLInputObjectType)) return leastOf(type)
  const filled = Object.values(type.getFields()).filter(
    (field) => field === next || field.type instanceof GraphQLNonNull,
  )
  return Object.fromEntries(
    filled.map((field) => {
      if (field !== next) return [field.name, filledOf(field.type, [], undefined)]
      return [field.name, rest.length === 0 ? value : filledOf(field.type, rest, value)]
    }),
  )
}

/** Returns all places of the schema where clients give values, found by going through it. */
export const inputPlaces = (): readonly InputPlace[] => {
  const roots = {
    query: schema.getQueryType(),
    mutation: schema.getMutationType(),
    subscription: schema.getSubscriptionType(),
  }
  return Object.entries(roots).flatMap(([kind, root]) =>
    Object.values(root?.getFields() ?? {}).flatMap((field) =>
      field.args.flatMap((argument) =>
        pathsBelow(argument).map((path): InputPlace => {
          const given = field.args.filter((each) => each === argument || each.type instanceof GraphQLNonNull)
          const declared = given.map(({ name, type }) => `$${name}: ${type}`).join(', ')
          const passed = given.map(({ name }) => `${name}: $${name}`).join(', ')
          const type = getNamedType(field.type)
          const refused = type instanceof GraphQLUnionType ? '... on Refused { code }' : ''
          const selection = isLeafType(type) ? '' : `{ __typename ${refused} }`
          const last = path.at(-1) ?? argument
          const [, ...below] = path
          const of = ({ name, type }: Input, value: unknown): unknown => {
            if (name !== argument.name) return filledOf(type, [], undefined)
            return below.length === 0 ? value : filledOf(type, below, value)
          }
          return {
            name: [kind, field.name, ...path.map(({ name }) => name)].join(' '),
            input: last,
            least: filledOf(last.type, [], undefined),
            operation: `${kind} (${declared}) { ${field.name}(${passed}) ${selection} }`,
            variablesOf: (value) => Object.fromEntries(given.map((each) => [each.name, of(each, value)])),
          }
        }),
      ),
    ),
  )
}
