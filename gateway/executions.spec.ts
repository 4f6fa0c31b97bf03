import { expect, test } from '@jest/globals'
import { buildSchema, execute, parse } from 'graphql'
import { type Client, executionsPlugin, mutationsPerAddressMax, queriesPerAddressMax } from './executions.ts'

const schema = buildSchema('type Query { work: Int } type Mutation { work: Int }')

/** Returns a function that executes as the plugin lets it. `begun` has the addresses whose work has begun, `open` those
 *  whose work has not ended. */
const createWorld = () => {
  const plugin = executionsPlugin()
  const begun: string[] = []
  const open: string[] = []
  const ends: (() => void)[] = []
  const run = async (client: Client, document = '{ work }', answerBytes = 0) => {
    let executeFn = (given: object) => execute(given as never)
    const work = () =>
      new Promise<number>((resolve) => {
        begun.push(client.address)
        open.push(client.address)
        ends.push(() => {
          open.splice(open.indexOf(client.address), 1)
          resolve(1)
        })
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
  return { begun, open, run, settled, end: () => ends.shift()?.() }
}
const client = (address: string, hasLeft = false): Client => ({
  address,
  hasLeft: () => hasLeft,
  keep: (bytes) => bytes < 1_000,
})

const kinds = [
  { kind: 'queries', document: '{ work }', max: queriesPerAddressMax },
  { kind: 'mutations', document: 'mutation { work }', max: mutationsPerAddressMax },
]

test.each(kinds)(
  'an address executes $max $kind at a time, another one its own, and those who wait come in order',
  async ({ document, max }) => {
    const world = createWorld()
    const many = 10 * max
    const answers = Array.from({ length: many }, () => world.run(client('a'), document))
    answers.push(world.run(client('b'), document))
    await world.settled()
    expect(world.begun).toEqual([...Array(max).fill('a'), 'b'])
    for (let ended = 0; ended <= many; ended += 1) {
      world.end()
      await world.settled()
      expect(world.open.filter((address) => address === 'a').length).toBeLessThanOrEqual(max)
    }
    expect(await Promise.all(answers)).toEqual(Array(many + 1).fill({ data: { work: 1 } }))
  },
)

test('queries do not wait for mutations, nor mutations for queries', async () => {
  const world = createWorld()
  const answers = kinds.flatMap(({ document }) => Array.from({ length: 20 }, () => world.run(client('a'), document)))
  await world.settled()
  expect(world.begun).toHaveLength(20)
  for (let ended = 0; ended < 40; ended += 1) {
    world.end()
    await world.settled()
  }
  await Promise.all(answers)
})

test.each(kinds)(
  '$kind of a client that has left are not begun, and give their place to the next',
  async ({ document, max }) => {
    const world = createWorld()
    expect(await world.run(client('a', true), document)).toEqual({ data: null })
    expect(world.begun).toEqual([])
    let hasLeft = false
    const leaving = { ...client('a'), hasLeft: () => hasLeft }
    const left = Array.from({ length: 10 * max }, () => world.run(leaving, document))
    const stays = world.run(client('a'), document)
    await world.settled()
    hasLeft = true
    for (let ended = 0; ended <= max; ended += 1) {
      world.end()
      await world.settled()
    }
    // Those that had begun go on to their end.
    const begun = Array(max).fill({ data: { work: 1 } })
    expect(await Promise.all(left)).toEqual([...begun, ...Array(9 * max).fill({ data: null })])
    expect(await stays).toEqual({ data: { work: 1 } })
  },
)

test('an answer that the quotas of the client do not hold is refused', async () => {
  const world = createWorld()
  const answers = ['{ work }', 'mutation { work }'].map((document) => world.run(client('a'), document, 1_000))
  await world.settled()
  world.end()
  world.end()
  for (const answer of await Promise.all(answers))
    expect(answer).toMatchObject({ errors: [{ extensions: { code: 'TOO_MANY_REQUESTS' } }] })
})
