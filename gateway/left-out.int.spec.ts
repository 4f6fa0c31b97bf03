// What directives and variables leave of a valid document is answered, or refused as the client's mistake.
import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { WebSocket } from 'ws'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'

let world: GatewayWorld
beforeAll(async () => {
  world = await createGatewayWorld()
})
afterAll(() => world.close())

type Request = { readonly query: string; readonly variables: object }
type Outcome = readonly { readonly code?: string; readonly hint?: string; readonly details?: object }[]
type Answer = { readonly errors?: readonly { readonly extensions?: Outcome[number] }[] }
const outcomeOf = ({ errors = [] }: Answer): Outcome => errors.map(({ extensions = {} }) => extensions)

const overHttp =
  (accept: string) =>
  async (request: Request): Promise<Outcome> => {
    const headers = { 'content-type': 'application/json', accept }
    const answer = await fetch(`${world.url}/graphql`, { method: 'POST', headers, body: JSON.stringify(request) })
    const text = await answer.text()
    return outcomeOf(JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text))
  }
const overWebSocket = async (request: Request): Promise<Outcome> => {
  const socket = new WebSocket(`${world.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  try {
    await once(socket, 'open')
    socket.send('{"type":"connection_init"}')
    await once(socket, 'message')
    socket.send(JSON.stringify({ id: 'a', type: 'subscribe', payload: request }))
    const [data] = await once(socket, 'message')
    const { payload } = JSON.parse(String(data))
    return outcomeOf(Array.isArray(payload) ? { errors: payload } : payload)
  } finally {
    socket.terminate()
  }
}

/** Fields of each root. A subscription has its answer at once, for its position is none. */
const fields = {
  query: ['head', '__typename', 'listings { nodes @skip(if: $a) { id } }', 'listing(id: "a") { id }'],
  mutation: ['__typename', 'signInMessage(input: { address: "a" }) { __typename }'],
  subscription: [
    'listingChanged(after: "a") { event }',
    'rentalUpdated(id: "a", after: "a") { event }',
    'listingChanged(after: "a") { ... @skip(if: $a) { event } }',
  ],
}
const variable = fc.record({
  type: fc.constantFrom('Boolean!', 'Boolean = true', 'Boolean = false', 'Boolean! = true', 'Boolean'),
  given: fc.constantFrom<unknown>(true, false, null, 'x', undefined),
})
const directive = fc
  .tuple(fc.constantFrom('skip', 'include'), fc.constantFrom('true', 'false', '$a', '$b', 'null', '"x"'))
  .map(([name, value]) => `@${name}(if: ${value})`)
const directives = fc.array(directive, { maxLength: 2 }).map((all) => all.join(' '))
const places = ['field', 'inline', 'spread'] as const
const selection = (field: string) =>
  fc.record({ field: fc.constant(field), at: directives, place: fc.constantFrom(...places) })

const request = fc.constantFrom('query', 'mutation', 'subscription').chain((kind) => {
  const of = fields[kind as keyof typeof fields]
  const root = { query: 'Query', mutation: 'Mutation', subscription: 'Subscription' }[kind]
  return fc
    .record({
      selections: fc.array(fc.constantFrom(...of).chain(selection), { minLength: 1, maxLength: 2 }),
      a: variable,
      b: variable,
    })
    .map(({ selections, a, b }): Request => {
      const fragments: string[] = []
      const written = selections.map(({ field, at, place }, index) => {
        if (place === 'inline') return `... ${at} { ${field} }`
        if (place === 'field') return /^(\w+(?:\(.*?\))?)(.*)$/.exec(field)?.slice(1).join(` ${at} `) ?? ''
        fragments.push(`fragment F${index} on ${root} { ${field} }`)
        return `...F${index} ${at}`
      })
      const used = { a, b }
      const body = `{ ${written.join(' ')} }`
      const declared = (['a', 'b'] as const).filter((name) => body.includes(`$${name}`))
      const parameters = declared.map((name) => `$${name}: ${used[name].type}`).join(', ')
      const query = `${kind} ${parameters && `(${parameters})`} ${body} ${fragments.join(' ')}`
      return { query, variables: Object.fromEntries(declared.map((name) => [name, used[name].given])) }
    })
})
const emptied = (query: string, variables: object = {}): [Request] => [{ query, variables }]
const codesOfServer = ['INTERNAL', 'ANSWER_TIMED_OUT', undefined]

test('whatever directives leave out, each transport answers the same, and no error is of the server', async () => {
  await fc.assert(
    fc.asyncProperty(request, async (sent) => {
      const outcome = await overHttp('application/json, text/event-stream;q=0.1')(sent)
      for (const { code, hint } of outcome) {
        expect(codesOfServer).not.toContain(code)
        expect(typeof hint).toBe('string')
      }
      expect(await overHttp('text/event-stream')(sent)).toEqual(outcome)
      expect(await overWebSocket(sent)).toEqual(outcome)
    }),
    {
      numRuns: 150,
      examples: [
        emptied('subscription { listingChanged @skip(if: true) { event } }'),
        emptied('subscription { ... @include(if: false) { listingChanged { event } } }'),
        emptied('subscription ($a: Boolean!) { listingChanged @include(if: $a) { event } }', { a: false }),
        emptied('query { head @skip(if: true) }'),
        emptied('mutation { __typename @skip(if: true) }'),
        emptied('query ($a: Boolean = true) { head @skip(if: $a) }', { a: null }),
      ],
    },
  )
  expect(world.logged).toEqual([])
}, 120_000)
