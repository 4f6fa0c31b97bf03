import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Failure, errors as failures } from '../domain/errors.ts'
import { keepAddress } from '../infra/system/listening.ts'
import { createMetrics } from '../infra/telemetry.ts'
import { freePort } from '../testing/free-port.ts'
import { connectionSettings, createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'
import { bodyBytesMax, createGateway } from './server.ts'

const pageBytesMax = 20_000

let world: GatewayWorld
let ready = true
let down = false

beforeAll(async () => {
  world = await createGatewayWorld({
    ready: async () => ({ ready, parts: { database: ready ? 'up' : 'down' } }),
    services: ({ read, commands }) => ({
      commands: { ...commands, execute: () => Promise.reject(new Error('the password is hunter2')) },
      read: {
        ...read,
        run: (label, query) => (down ? Promise.reject(new Failure('DATABASE_UNAVAILABLE')) : read.run(label, query)),
      },
    }),
  })
})
afterAll(() => world.close())

describe('what a gateway serves besides GraphQL', () => {
  test('/health answers while the process runs', async () => {
    expect(await (await fetch(`${world.url}/health`)).json()).toEqual({ status: 'alive' })
  })

  test('/ready names the parts, with 503 when one is missing', async () => {
    const look = async () => {
      const response = await fetch(`${world.url}/ready`)
      return [response.status, await response.json()]
    }
    expect(await look()).toEqual([200, { ready: true, parts: { database: 'up' } }])
    ready = false
    expect(await look()).toEqual([503, { ready: false, parts: { database: 'down' } }])
    ready = true
  })

  test('/metrics counts by names of the schema, not by names that clients choose', async () => {
    await world.ask('query MadeUpByAClient { alias: gpuModels }')
    const response = await fetch(`${world.url}/metrics`)
    const text = await response.text()
    expect(response.headers.get('content-type')).toContain('text/plain')
    expect(text).toContain('neuralmesh_graphql_operation_seconds_count{operation="query gpuModels",outcome="ok"} 1')
    expect(text).toContain('neuralmesh_http_requests_total{method="GET",route="/health",status="200"} 1')
    expect(text).not.toContain('MadeUpByAClient')
  })

  test('the page for browsers has its worked examples, and loads nothing from other hosts', async () => {
    const response = await fetch(`${world.url}/`, { headers: { accept: 'text/html' } })
    const page = await response.text()
    expect([response.status, response.url]).toEqual([200, `${world.url}/graphql`])
    expect(page).toContain('Which H100 can be had for less than 3 dollars an hour?')
    expect(page).not.toMatch(/<(script|link)[^>]+(src|href)="https?:/)
    expect(page.length).toBeLessThan(pageBytesMax)
  })

  test('its files are compressed, are kept by browsers, and come once', async () => {
    const asked = await fetch(`${world.url}/graphql`, { headers: { accept: 'text/html' } })
    const paths = [...(await asked.text()).matchAll(/"(\/graphql\/page\/[^"]+)"/g)].map(([, path]) => path)
    expect(paths).toHaveLength(6)
    for (const path of paths) {
      const response = await fetch(`${world.url}${path}`)
      const bytes = (await response.arrayBuffer()).byteLength
      expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
      expect(response.headers.get('content-encoding')).toBe('gzip')
      const plain = await fetch(`${world.url}${path}`, { headers: { 'accept-encoding': 'identity' } })
      expect([plain.headers.get('content-encoding'), (await plain.arrayBuffer()).byteLength]).toEqual(['gzip', bytes])
    }
    const again = { accept: 'text/html', 'if-none-match': asked.headers.get('etag') ?? '' }
    expect((await fetch(`${world.url}/graphql`, { headers: again })).status).toBe(304)
    expect((await fetch(`${world.url}/graphql/page/nothing.js`)).status).toBe(404)
  })

  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY', 'PROPFIND']
  const paths = ['/', '/graphql', '/graphql/page/a', '/health', '/ready', '/status', '/metrics', '/nowhere', '/%']
  test.each(methods)('no address fails at %s, whatever is accepted', async (method) => {
    for (const path of paths)
      for (const accept of ['*/*', 'text/html', 'application/json', 'text/event-stream', 'image/png']) {
        const { status } = await fetch(`${world.url}${path}`, { method, headers: { accept }, redirect: 'manual' })
        expect([path, accept, status]).toEqual([path, accept, expect.any(Number)])
        expect(status).toBeLessThan(500)
      }
  })

  test('HEAD of the page is its head', async () => {
    const head = await fetch(`${world.url}/graphql`, { method: 'HEAD' })
    const page = await fetch(`${world.url}/graphql`, {
      headers: { accept: 'text/html', 'accept-encoding': 'identity' },
    })
    expect([head.status, head.headers.get('etag')]).toEqual([200, page.headers.get('etag')])
    expect(head.headers.get('content-length')).toBe(page.headers.get('content-length'))
  })

  test('any site may send requests, with a token in the header', async () => {
    const preflight = await fetch(`${world.url}/graphql`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://shop.example.com',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    })
    const asked = await fetch(`${world.url}/graphql`, {
      method: 'POST',
      headers: { origin: 'https://shop.example.com', 'content-type': 'application/json' },
      body: '{"query":"{ head }"}',
    })
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-headers')).toBe('authorization,content-type')
    expect([preflight, asked].map(({ headers }) => headers.get('access-control-allow-origin'))).toEqual(['*', '*'])
  })

  test('other paths answer with 404', async () => {
    expect((await fetch(`${world.url}/nowhere`)).status).toBe(404)
  })
})

describe('bad requests', () => {
  const post = async (body: string, headers: Record<string, string> = { 'content-type': 'application/json' }) => {
    const response = await fetch(`${world.url}/graphql`, { method: 'POST', headers, body })
    return { status: response.status, body: await response.text() }
  }

  test('a body over the limit is refused, with a code', async () => {
    const { status, body } = await post(JSON.stringify({ query: `{ head } #${'x'.repeat(bodyBytesMax)}` }))
    expect([status, JSON.parse(body).errors[0].extensions]).toMatchObject([
      413,
      { code: 'INPUT_INVALID', details: { bytesMax: '1048576' } },
    ])
  })

  test('a body that is no JSON is refused, with a code', async () => {
    const { status, body } = await post('{ head }')
    expect([status, JSON.parse(body).errors[0].extensions.code]).toEqual([400, 'INPUT_INVALID'])
  })

  test('a form of another site is refused: only JSON is accepted', async () => {
    expect((await post('{ head }', { 'content-type': 'text/plain' })).status).toBe(415)
  })

  test('a mutation by GET is refused', async () => {
    const query = encodeURIComponent('mutation { signInMessage(input: { address: "" }) { __typename } }')
    expect((await fetch(`${world.url}/graphql?query=${query}`)).status).toBe(405)
  })

  test.each([
    ['GRAPHQL_PARSE_FAILED', { query: '{ head' }],
    ['GRAPHQL_VALIDATION_FAILED', { query: '{ heads }' }],
    ['GRAPHQL_VALIDATION_FAILED', { query: '{ listings(first: "1") { edges { cursor } } }' }],
    ['OPERATION_RESOLUTION_FAILURE', { query: '{ head }', operationName: 'other' }],
    ['OPERATION_RESOLUTION_FAILURE', { query: 'query A { head } query B { head }' }],
    ['BAD_USER_INPUT', { query: 'query ($id: ID!) { listing(id: $id) { id } }' }],
    [
      'BAD_USER_INPUT',
      { query: 'query ($first: Int) { listings(first: $first) { edges { cursor } } }', variables: { first: 'a' } },
    ],
    ['INPUT_INVALID', { query: '{ head }', variables: 7 }],
    ['INPUT_INVALID', {}],
  ])('%s is in the registry of docs/errors.md: %j', async (code, body) => {
    const answer = await post(JSON.stringify(body))
    expect(JSON.parse(answer.body).errors[0].extensions.code).toBe(code)
    expect(await readFile(join(import.meta.dirname, '../docs/errors.md'), 'utf8')).toContain(`| \`${code}\` |`)
  })

  const wrongValues = [
    ['moment', 'time', 'DateTime', '29.11.2026'],
    ['year', 'time', 'DateTime', '0000-01-01T00:00:00Z'],
    ['day', 'time', 'DateTime', '2026-02-30T00:00:00Z'],
    ['position', 'position', 'Position', 7],
  ] as const
  test('a misspelt field is answered with the nearest one', async () => {
    const { errors } = JSON.parse((await post(JSON.stringify({ query: '{ heads }' }))).body)
    expect(errors[0].message).toBe('Cannot query field "heads" on type "Query". Did you mean "head"?')
  })

  test.each(wrongValues)('what is no %s is refused as every refusal is', async (_what, field, type, value) => {
    const client = world.socket()
    const bySocket = (query: string, variables: Record<string, unknown>) =>
      new Promise<Awaited<ReturnType<typeof world.ask>>>((resolve) => {
        const end = (errors: unknown) => resolve({ errors } as never)
        client.subscribe(
          { query, variables },
          { next: (answer) => resolve(answer as never), error: end, complete: () => {} },
        )
      })
    const queryOf = (head: string, given: string) =>
      `query ${head} { listing(id: "x", asOf: { ${field}: ${given} }) { id } }`
    const literal = queryOf('', JSON.stringify(value))
    const variable = queryOf(`($value: ${type})`, '$value')
    try {
      for (const ask of [world.ask, bySocket])
        for (const { errors } of [await ask(literal, {}), await ask(variable, { value })])
          expect(errors).toEqual([
            expect.objectContaining({
              message: failures.INPUT_INVALID.message,
              locations: [{ line: 1, column: expect.any(Number) }],
              extensions: expect.objectContaining({
                code: 'INPUT_INVALID',
                hint: failures.INPUT_INVALID.hint,
                details: { value: String(value), takes: expect.any(String) },
              }),
            }),
          ])
    } finally {
      await client.dispose()
    }
  })

  test('text that no database can store is refused, in a literal and in a variable', async () => {
    const literal = await world.ask('{ listing(id: "\\u0000") { id } }')
    const variable = await world.ask('query ($id: ID!) { listing(id: $id) { id } }', { id: '\ud800' })
    for (const { errors } of [literal, variable]) expect(errors?.[0]?.extensions.code).toBe('INPUT_INVALID')
  })
})

describe('errors', () => {
  test('an unexpected error is logged under an id, and only the id is shown', async () => {
    const { ask } = await world.newUser()
    const answer = await ask(
      'mutation { rentGpu(input: { listing: "a", hours: 1, maxPricePerGpuHour: "1", idempotencyKey: "k" }) { __typename } }',
    )
    const details = answer.errors?.[0]?.extensions.details as { correlationId: string } | undefined
    const correlationId = details?.correlationId
    expect(correlationId).toMatch(/^[0-9a-f-]{36}$/)
    expect(answer.errors).toEqual([
      expect.objectContaining({
        message: 'An unexpected error occurred.',
        extensions: { code: 'INTERNAL', hint: expect.any(String), details: { correlationId } },
      }),
    ])
    expect(JSON.stringify(answer)).not.toContain('hunter2')
    const line = world.logged.find((entry) => entry.correlationId === correlationId)
    expect(line).toMatchObject({ err: { message: 'the password is hunter2' } })
  })

  test('a failure keeps its code, hint and details', async () => {
    const { errors, data } = await world.ask('{ listing(id: "unknown") { id } }')
    expect(data).toEqual({ listing: null })
    expect(errors?.[0]).toMatchObject({
      message: 'There is no such listing.',
      path: ['listing'],
      extensions: { code: 'LISTING_UNKNOWN', hint: expect.any(String), details: { listing: 'unknown' } },
    })
  })

  test('an unavailable database is answered with its code and hint', async () => {
    down = true
    const { errors } = await world.ask('{ gpuModels }')
    down = false
    expect(errors?.[0]).toMatchObject({
      message: 'The database does not answer.',
      extensions: { code: 'DATABASE_UNAVAILABLE', hint: expect.stringContaining('idempotency key') },
    })
  })

  test.each(['Bearer wrong', 'Basic abc', 'wrong'])(
    'the header "%s" is an error, not a guest',
    async (authorization) => {
      const response = await fetch(`${world.url}/graphql`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization },
        body: '{"query":"{ head }"}',
      })
      const { errors, data } = (await response.json()) as { errors: { extensions: { code: string } }[]; data?: unknown }
      expect([response.status, errors[0]?.extensions.code, data]).toEqual([401, 'TOKEN_INVALID', undefined])
    },
  )
})

test('a port that is in use fails with PORT_TAKEN and the port', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => taken.once('listening', resolve))
  const address = taken.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const gateway = createGateway({
    services: {} as never,
    signIn: world.signIn,
    config: { ...connectionSettings, host: '127.0.0.1', port },
    log: {} as never,
    metricsRegistry: createMetrics(),
    health: {} as never,
  })
  try {
    await expect(gateway.listen()).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      details: { port: String(port), variable: 'PORT' },
    })
  } finally {
    await gateway.close()
    taken.close()
  }
})

test('an address that was taken at the start becomes the one of the gateway', async () => {
  const port = await freePort()
  const address = keepAddress({ host: '127.0.0.1', port, portVariable: 'PORT' })
  await address.take()
  const gateway = createGateway({
    services: {} as never,
    signIn: world.signIn,
    config: { ...connectionSettings, host: '127.0.0.1', port },
    log: {} as never,
    metricsRegistry: createMetrics(),
    health: {} as never,
    address,
  })
  const { url } = await gateway.listen()
  expect(url).toBe(`http://127.0.0.1:${port}`)
  expect((await fetch(`${url}/health`)).status).toBe(200)
  await gateway.close()
})
