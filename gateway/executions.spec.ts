import { expect, test } from '@jest/globals'
import { buildSchema, execute, parse } from 'graphql'
import { type Client, executionsPlugin } from './executions.ts'

const schema = buildSchema('type Query { work: Int } type Mutation { work: Int }')

/** Returns a function that executes as the plugin lets it. `begun` has the addresses whose work has begun. */
const createWorld = () => {
  const plugin = executionsPlugin()
  const begun: string[] = []
  const ends: (() => void)[] = []
  const run = async (client: Client, document = '{ work }', answerBytes = 0) => {
    let executeFn = (given: object) => execute(given as never)
    const work = () =>
      new Promise<number>((resolve) => {
        begun.push(client.address)
        ends.push(() => resolve(1))
      })
    const args = {
      schema,
      document: parse(document),
      rootValue: { work },
      contextValue: { client, answer: { bytes: answerBytes } },
    }
    plugin.onExecute?.({
      executeFn,
      args,
      setExecuteFn: (next: typeof executeFn) => {
        executeFn = next
      },
    } as never)
    return executeFn(args)
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  return { begun, run, settled, end: () => ends.shift()?.() }
}
const client = (address: string, hasLeft = false): Client => ({
  address,
  hasLeft: () => hasLeft,
  keep: (bytes) => bytes < 1_000,
})

test('an address executes four queries at a time, another one its own, and those who wait come in order', async () => {
  const world = createWorld()
  const answers = Array.from({ length: 10 }, () => world.run(client('a')))
  answers.push(world.run(client('b')))
  await world.settled()
  expect(world.begun).toEqual(['a', 'a', 'a', 'a', 'b'])
  while (world.begun.length < 11) {
    world.end()
    await world.settled()
  }
  for (let left = 0; left < 11; left += 1) world.end()
  expect(await Promise.all(answers)).toEqual(Array(11).fill({ data: { work: 1 } }))
})

test('a query whose client has left is not executed, and gives its place to the next', async () => {
  const world = createWorld()
  expect(await world.run(client('a', true))).toEqual({ data: null })
  expect(world.begun).toEqual([])
})

test('mutations need no place: they are few, and wait for the log', async () => {
  const world = createWorld()
  const answers = Array.from({ length: 9 }, () => world.run(client('a'), 'mutation { work }'))
  await world.settled()
  expect(world.begun).toHaveLength(9)
  for (let left = 0; left < 9; left += 1) world.end()
  await Promise.all(answers)
})

test('an answer that the quotas of the client do not hold is refused', async () => {
  const world = createWorld()
  const answers = ['{ work }', 'mutation { work }'].map((document) => world.run(client('a'), document, 1_000))
  await world.settled()
  world.end()
  world.end()
  for (const answer of await Promise.all(answers))
    expect(answer).toMatchObject({ errors: [{ extensions: { code: 'TOO_MANY_REQUESTS' } }] })
})
