// Asks for everything in the schema and sends every text that it takes: no answer is larger than its bound.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Client } from 'graphql-ws'
import { systemActor } from '../commands/actor.ts'
import { mustExecute } from '../commands/execute.ts'
import { newId } from '../commands/ids.ts'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'
import { errorsMax } from './graphql/answer-size.ts'
import { limits } from './graphql/limits.ts'
import { queryOf, queryWays, textInputs } from './graphql/schema-walk.testing.ts'
import { echoCharactersMax } from './shortened.ts'

type User = Awaited<ReturnType<GatewayWorld['newUser']>>
type Sent = {
  readonly status: number
  readonly bytes: number
  readonly text: string
  readonly codes: readonly string[]
}

const jobsOfRenter = 110
const models = 150
/** In JSON each takes six bytes. */
const unprintable = '\u0001'

let world: GatewayWorld
let renter: User
let ids: Readonly<Record<string, string>>

beforeAll(async () => {
  world = await createGatewayWorld({ services: () => ({ privileged: { operators: [], auditors: [], analysts: [] } }) })
  renter = await world.newUser()
  await world.market.deposit(renter.wallet, 10_000_000_000n)
  await renter.ask('mutation { registerProvider(input: { name: "Paula" }) { __typename } }')
  const gpu = 'A model with a long name '.repeat(4).trim()
  for (let index = 0; index < models; index++)
    await renter.ask('mutation ($input: ListGpusInput!) { listGpus(input: $input) { __typename } }', {
      input: {
        gpu: `${gpu} ${index}`,
        gpuCount: 1,
        vramMib: 1,
        vcpus: 1,
        memoryMib: 1,
        region: gpu,
        pricePerGpuHour: '1',
        idempotencyKey: `listing ${index}`,
      },
    })
  const listing = newId()
  await world.market.list(listing, 2)
  const rent = async (idempotencyKey: string): Promise<string> => {
    const { data } = await renter.ask(
      'mutation ($input: RentGpuInput!) { rentGpu(input: $input) { ... on RentGpuSuccess { id } } }',
      { input: { listing, hours: 1, maxPricePerGpuHour: '4', idempotencyKey } },
    )
    return data.rentGpu.id
  }
  const [settled, rental] = [await rent('settled'), await rent('active')]
  world.market.pass(60)
  await renter.ask('mutation ($rental: ID!) { endRental(input: { rental: $rental }) { __typename } }', {
    rental: settled,
  })
  let job = ''
  let position = ''
  for (let index = 0; index < jobsOfRenter; index++) {
    const { data } = await renter.ask(
      'mutation ($input: SubmitJobInput!) { submitJob(input: $input) { ... on SubmitJobSuccess { id position } } }',
      {
        input: {
          rental,
          command: ['a'.repeat(1_000)],
          files: [{ path: 'a', content: unprintable.repeat(30_000) }],
          environment: [{ name: 'A', value: 'b'.repeat(1_000) }],
          idempotencyKey: `job ${index}`,
        },
      },
    )
    job = data.submitJob.id
    const commandId = newId()
    const envelope = { commandId, correlationId: commandId, causationId: commandId, actor: systemActor('test') }
    const started = { type: 'StartJob', attempt: 1, cluster: 'test', startedAt: world.market.now() } as const
    const answer = await world.market.commands.execute('job', job, started, { ...envelope, time: world.market.now() })
    position = String(mustExecute(answer).position)
    world.jobLogs.set(`${job}/1`, unprintable.repeat(262_144))
  }
  await renter.ask('query ($at: Position) { jobs(atLeast: $at) { nodes { id } } }', { at: position })
  ids = { rental, job, listing, invoice: settled, moneyTrace: settled, provider: renter.wallet, payment: newId() }
}, 240_000)
afterAll(() => world.close())

const send = async (query: string, variables: object = {}, body: object = {}): Promise<Sent> => {
  const response = await fetch(`${world.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${renter.token}` },
    body: JSON.stringify({ query, variables, ...body }),
  })
  const text = await response.text()
  const { errors = [] } = JSON.parse(text) as { errors?: { extensions?: { code?: string } }[] }
  return {
    status: response.status,
    bytes: Buffer.byteLength(text),
    text,
    codes: errors.map(({ extensions }) => extensions?.code ?? 'none'),
  }
}

/** Returns the arguments that make a field return as much as it can. */
const mostOf = (field: { readonly name: string; readonly args: readonly { readonly name: string }[] }): string => {
  const values: Readonly<Record<string, string | undefined>> = {
    id: JSON.stringify(ids[field.name]),
    rental: field.name === 'moneyTrace' ? JSON.stringify(ids.moneyTrace) : undefined,
    first: field.name === 'gpuModels' ? '1000' : '100',
    bytesMax: '262144',
  }
  const given = field.args.flatMap(({ name }) => (values[name] === undefined ? [] : [`${name}: ${values[name]}`]))
  return given.length === 0 ? '' : `(${given.join(', ')})`
}

describe('an answer', () => {
  // Brackets, and the fields that count nothing.
  const slackBytes = 1024 * 1024
  const refusals = ['QUERY_TOO_COSTLY', 'ANSWER_TOO_LARGE']

  test('to a query for any text or list, with the most aliases allowed, is within the bound', async () => {
    const seen = { answered: 0, QUERY_TOO_COSTLY: 0, ANSWER_TOO_LARGE: 0 } as Record<string, number>
    const complaints: string[] = []
    for (const way of queryWays())
      for (const at of new Set([0, way.length - 1])) {
        const query = queryOf(way, mostOf, { aliases: limits.aliasesMax, at })
        const { bytes, codes, text } = await send(query)
        const [code = 'answered'] = codes.filter((found) => refusals.includes(found))
        seen[code] = (seen[code] ?? 0) + 1
        if (bytes > limits.answerBytesMax + slackBytes || codes.length > errorsMax || codes.includes('INTERNAL'))
          complaints.push(`${bytes} bytes, ${codes}: ${query.slice(0, 200)} ${text.slice(0, 200)}`)
      }
    expect(complaints).toEqual([])
    expect(seen.answered).toBeGreaterThan(100)
    expect(seen.QUERY_TOO_COSTLY).toBeGreaterThan(0)
  }, 240_000)

  test('to what a client asks for is there: a page with all texts of the jobs, and the log of one', async () => {
    const programs = await send(
      '{ jobs(first: 10) { nodes { id command files { path content } environment { name value } } } }',
    )
    expect([programs.codes, programs.bytes > 10 * 180_000]).toEqual([[], true])
    const log = await send('query ($id: ID!) { job(id: $id) { log(bytesMax: 262144) { text nextOffset } } }', {
      id: ids.job,
    })
    expect([log.codes, log.bytes > 6 * 262_144]).toEqual([[], true])
  })

  test('larger than the estimate is cut off with a code, over WebSocket too', async () => {
    const query = `{ ${Array.from({ length: 4 }, (_, index) => `a${index}: jobs(first: 5) { nodes { log(bytesMax: 262144) { text } } }`).join(' ')} }`
    expect(await send(query)).toMatchObject({ codes: ['ANSWER_TOO_LARGE'] })
    const socket = world.socket({ authorization: `Bearer ${renter.token}` })
    const answers = await Array.fromAsync(socket.iterate({ query }))
    await socket.dispose()
    expect(answers).toMatchObject([{ errors: [{ extensions: { code: 'ANSWER_TOO_LARGE' } }] }])
    expect(answers[0]?.data).toBeUndefined()
  })

  test('has a few errors at most', async () => {
    const aliases = Array.from({ length: limits.aliasesMax }, (_, index) => `a${index}: listing(id: "none") { id }`)
    const { codes } = await send(`{ ${aliases.join(' ')} listing(id: "none") { id } job(id: "none") { id } }`)
    expect(codes).toHaveLength(errorsMax)
  })
})

describe('an error', () => {
  const characters = 900_000
  const errorBytesMax = 20_000
  /** Letters, and what one door or another reads: a number, a time, a cursor, an address. */
  const texts = ['x', '9', '\u{1f4a5}', Buffer.from('["a"]').toString('base64')]

  let socket: Client
  beforeAll(() => {
    socket = world.socket({ authorization: `Bearer ${renter.token}` })
  })
  afterAll(() => socket.dispose())

  const overWebSocket = async (query: string, variables: Record<string, unknown>): Promise<string> => {
    const iterator = socket.iterate({ query, variables })
    try {
      const late = new Promise<undefined>((resolve) => setTimeout(resolve, 2_000, undefined).unref())
      const first = await Promise.race([iterator.next(), late])
      return JSON.stringify(first?.value ?? null)
    } catch (error) {
      return JSON.stringify(error)
    } finally {
      void iterator.return?.()
    }
  }

  test.each(textInputs().map(({ name, ...input }) => [name, input] as const))(
    'repeats a bounded part of the text sent as %s',
    async (_name, { kind, query }) => {
      for (const text of texts) {
        const variables = { text: text.repeat(Math.ceil(characters / Buffer.byteLength(text))) }
        if (kind !== 'subscription') expect((await send(query, variables)).bytes).toBeLessThan(errorBytesMax)
        if (text === 'x') expect((await overWebSocket(query, variables)).length).toBeLessThan(errorBytesMax)
      }
    },
    120_000,
  )

  const long = 'x'.repeat(characters)
  test.each<[string, string, object, object]>([
    ['the name of an operation', '{ head }', {}, { operationName: long }],
    ['a parameter of the request', '{ head }', {}, { [long]: 1 }],
    [
      'a variable of another type',
      'query ($first: Int) { listings(first: $first) { nodes { id } } }',
      { first: long },
      {},
    ],
    ['an enum', 'query ($status: JobStatus) { jobs(status: $status) { nodes { id } } }', { status: long }, {}],
    ['a name in the document', `{ ${'x'.repeat(19_000)} }`, {}, {}],
    ['an alias', `{ ${'x'.repeat(19_000)}: head }`, {}, {}],
    ['a text in the document', `{ listings(after: "${'x'.repeat(19_000)}") { nodes { id } } }`, {}, {}],
    ['a document that is none', '"'.repeat(characters), {}, {}],
  ])('repeats a bounded part of %s', async (_what, query, variables, body) => {
    const { bytes, text } = await send(query, variables, body)
    expect(bytes).toBeLessThan(errorBytesMax)
    expect(text).not.toContain('x'.repeat(echoCharactersMax + 1))
  })

  test.each<[string, string, Record<string, string>]>([
    ['a body that is no JSON', `{"query": ${'x'.repeat(characters)}`, { 'content-type': 'application/json' }],
    ['a type of content', '{}', { 'content-type': `text/${'x'.repeat(8_000)}` }],
    [
      'a token',
      '{"query": "{ head }"}',
      { 'content-type': 'application/json', authorization: `Bearer ${'x'.repeat(8_000)}` },
    ],
    ['a scheme', '{"query": "{ head }"}', { 'content-type': 'application/json', authorization: 'x'.repeat(8_000) }],
  ])('of the server repeats a bounded part of %s', async (_what, body, headers) => {
    const response = await fetch(`${world.url}/graphql`, { method: 'POST', headers, body })
    expect((await response.text()).length).toBeLessThan(2 * echoCharactersMax)
  })

  test('of the server repeats a bounded part of the address', async () => {
    for (const path of ['/', '/graphql?query=', '/graphql?query={head}&'])
      expect((await (await fetch(`${world.url}${path}${'x'.repeat(10_000)}`)).text()).length).toBeLessThan(
        2 * echoCharactersMax,
      )
  })
})
