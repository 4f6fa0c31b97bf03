/** A program that starts a gateway on the database server of the specs, gives the worst texts to every text input of its
 *  schema, found by going through the schema, and prints the CPU time of each as a line of JSON. */
import { GraphQLList, getNamedType, getNullableType } from 'graphql'
import { inputPlaces } from '../../gateway/graphql/input-walk.testing.ts'
import { createGatewayWorld } from '../worlds/gateway.ts'
import { growthOf, type Reader } from '../worst-texts.ts'

const textTypes = ['String', 'ID', 'DateTime', 'Position']

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

const readers = inputPlaces()
  .filter(({ input }) => textTypes.includes(getNamedType(input.type).name))
  .map(
    ({ name, input, operation, variablesOf }): Reader => ({
      name,
      read: (text) => ask(operation, variablesOf(getNullableType(input.type) instanceof GraphQLList ? [text] : text)),
    }),
  )

/** Returns the worst texts of a gateway, of fewer units: a request costs more than a call. */
const textsOf = (characters: number) => [
  `1.${'0'.repeat(characters)}1`,
  ...['0', ' ', '/', '"', '-', '"\n', '\u2028'].flatMap((unit) => [`${unit.repeat(characters / unit.length)}!`]),
]

const characters = Number(process.argv[2])
for (const reader of readers) process.stdout.write(`${JSON.stringify(await growthOf(reader, characters, textsOf))}\n`)
await world.close()
