/** A program that starts a gateway on the database server of the specs, gives the worst texts to every text input of its
 *  schema, found by going through the schema, and prints the CPU time of each as a line of JSON. */
import {
  type GraphQLArgument,
  GraphQLEnumType,
  type GraphQLInputField,
  GraphQLInputObjectType,
  type GraphQLInputType,
  GraphQLList,
  GraphQLNonNull,
  getNamedType,
  isLeafType,
} from 'graphql'
import { schema } from '../../gateway/graphql/schema.ts'
import { createGatewayWorld } from '../worlds/gateway.ts'
import { growthOf, type Reader } from '../worst-texts.ts'

type Input = GraphQLArgument | GraphQLInputField
/** The names from an argument down to a text. */
type Path = readonly string[]

const textTypes = ['String', 'ID', 'DateTime', 'Position']

/** Returns the way to each text below an argument. */
const textsBelow = ({ name, type }: Input): readonly Path[] => {
  const named = getNamedType(type)
  if (named instanceof GraphQLInputObjectType)
    return Object.values(named.getFields()).flatMap((field) => textsBelow(field).map((path) => [name, ...path]))
  return textTypes.includes(named.name) ? [[name]] : []
}

/** Returns a value of the type with the text at the end of the path, and the least of everything else. */
const inputOf = (type: GraphQLInputType, path: Path, text: string): unknown => {
  if (type instanceof GraphQLNonNull) return inputOf(type.ofType, path, text)
  if (type instanceof GraphQLList) return [inputOf(type.ofType, path, text)]
  if (type instanceof GraphQLInputObjectType) {
    const [next, ...rest] = path
    return Object.fromEntries(
      Object.values(type.getFields()).flatMap((field) => {
        if (field.name === next) return [[field.name, inputOf(field.type, rest, text)]]
        return field.type instanceof GraphQLNonNull ? [[field.name, inputOf(field.type, [], 'a')]] : []
      }),
    )
  }
  if (type instanceof GraphQLEnumType) return type.getValues()[0]?.name
  if (type.name === 'Int') return 1
  return type.name === 'Boolean' ? true : text
}

const world = await createGatewayWorld()
const { token } = await world.newUser()

/** Sends an operation with the text at one place, and reads the whole answer. */
const ask = async (operation: string, variables: object): Promise<void> => {
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, accept: 'text/event-stream, */*' },
    body: JSON.stringify({ query: operation, variables }),
    // A subscription that was accepted stays open.
    signal: AbortSignal.timeout(500),
  })
  await response.text()
}

const operations = {
  query: schema.getQueryType(),
  mutation: schema.getMutationType(),
  subscription: schema.getSubscriptionType(),
}

const readers = Object.entries(operations).flatMap(([kind, root]) =>
  Object.values(root?.getFields() ?? {}).flatMap((field) =>
    field.args.flatMap((argument) =>
      textsBelow(argument).map(([, ...path]): Reader => {
        const given = field.args.filter((each) => each === argument || each.type instanceof GraphQLNonNull)
        const declared = given.map(({ name, type }) => `$${name}: ${type}`).join(', ')
        const passed = given.map(({ name }) => `${name}: $${name}`).join(', ')
        const selection = isLeafType(getNamedType(field.type)) ? '' : '{ __typename }'
        const operation = `${kind} (${declared}) { ${field.name}(${passed}) ${selection} }`
        return {
          name: [kind, field.name, argument.name, ...path].join(' '),
          read: (text) =>
            ask(
              operation,
              Object.fromEntries(
                given.map(({ name, type }) => [
                  name,
                  inputOf(type, name === argument.name ? path : [], name === argument.name ? text : 'a'),
                ]),
              ),
            ),
        }
      }),
    ),
  ),
)

/** Returns the worst texts of a gateway, of fewer units: a request costs more than a call. */
const textsOf = (characters: number) => [
  `1.${'0'.repeat(characters)}1`,
  ...['0', ' ', '/', '"', '-', '"\n', '\u2028'].flatMap((unit) => [`${unit.repeat(characters / unit.length)}!`]),
]

const characters = Number(process.argv[2])
for (const reader of readers) process.stdout.write(`${JSON.stringify(await growthOf(reader, characters, textsOf))}\n`)
await world.close()
