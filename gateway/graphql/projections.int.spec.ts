import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { createSpecLog } from '../../projections/engine/log.testing.ts'
import { followProjections, type Projections } from '../../projections/engine/start.ts'
import { providers } from '../../projections/providers.ts'
import { eventually } from '../../testing/eventually.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'

type User = Awaited<ReturnType<GatewayWorld['newUser']>>
let world: GatewayWorld
let operator: User
let analyst: User
/** A version of the projection that can fold an event where the current one fails. */
let able: Projections | undefined
beforeAll(async () => {
  const accounts = [privateKeyToAccount(generatePrivateKey()), privateKeyToAccount(generatePrivateKey())] as const
  const [operatorWallet, analystWallet] = accounts.map(({ address }) => address.toLowerCase())
  world = await createGatewayWorld({
    services: ({ projections }) => ({
      privileged: { operators: [operatorWallet ?? ''], auditors: [], analysts: [analystWallet ?? ''] },
      projections: { ...projections, retry: (...which) => (able ?? projections).retry(...which) },
    }),
  })
  operator = await world.newUser(accounts[0])
  analyst = await world.newUser(accounts[1])
  const log = createSpecLog(world.store)
  await log.write('provider', 'ghost', { type: 'ProviderRenamed', name: 'Nobody' })
  await log.write('provider', 'ghost', { type: 'ProviderRenamed', name: 'Somebody' })
})
afterAll(() => world.close())

const projectionsQuery = `{ projections { name version state servedVersion position lag failure parkedStreams
  progress { version percent perSecond secondsLeft position }
  parked { stream revision position type code error held since } } }`
const retryMutation = `mutation ($input: RetryParkedStreamInput!) { retryParkedStream(input: $input) {
  ... on RetryParkedStreamSuccess { projection stream events } ... on Error { code details { name value } } } }`
const ghost = { projection: 'providers', stream: 'provider-ghost' }
const retry = async (user: Pick<User, 'ask'>, input = ghost) =>
  (await user.ask(retryMutation, { input })).data.retryParkedStream

/** Resolves to the status of the providers once they reflect the whole log. The status reads the checkpoint before the
 *  parked streams, and a batch may be written in between: so `held` alone does not show that the checkpoint is at the
 *  head. */
const parkedProviders = () =>
  eventually('a stream is parked and the read model is at the head', async () => {
    const { data } = await analyst.ask(projectionsQuery)
    // biome-ignore lint/suspicious/noExplicitAny: the answer has the shape of the query.
    const isDone = ({ name, lag, parked }: any) => name === 'providers' && lag === 0 && parked[0]?.held === '1'
    return data.projections.find(isDone)
  })

describe('the read models', () => {
  test('are shown to analysts, with what is parked, and to operators also with the texts of errors', async () => {
    const error = expect.stringMatching(/finds no row to change/)
    expect(await parkedProviders()).toEqual({
      name: 'providers',
      version: providers.version,
      state: 'RUNNING',
      servedVersion: providers.version,
      position: await world.store.head(),
      lag: 0,
      failure: null,
      progress: null,
      parkedStreams: 1,
      parked: [
        {
          stream: 'provider-ghost',
          revision: '0',
          position: expect.any(String),
          type: 'ProviderRenamed',
          code: 'EVENT_NOT_FOLDED',
          error: null,
          held: '1',
          since: expect.any(String),
        },
      ],
    })
    expect((await operator.ask(projectionsQuery)).data.projections).toContainEqual(
      expect.objectContaining({ name: 'providers', parked: [expect.objectContaining({ error })] }),
    )
    for (const [user, code] of [
      [await world.newUser(), 'PRIVILEGE_NEEDED'],
      [world, 'NOT_SIGNED_IN'],
    ] as const)
      expect((await user.ask(projectionsQuery)).errors?.[0]?.extensions.code).toBe(code)
  })

  test('are on the status page, as indented JSON', async () => {
    await parkedProviders()
    // A read model that starts on a log with events is built first.
    const { response, text } = await eventually('all read models to be served', async () => {
      const asked = await fetch(`${world.url}/status`, { headers: { authorization: `Bearer ${operator.token}` } })
      const body = await asked.text()
      return JSON.parse(body).ready === true && { response: asked, text: body }
    })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8'])
    const page = JSON.parse(text)
    expect(page).toMatchObject({
      ready: true,
      parts: { database: 'up', projections: 'up, 1 stream parked' },
      roles: ['gateway', 'projector'],
      head: await world.store.head(),
    })
    expect(Object.keys(page.projections[0])).toEqual([
      'name',
      'version',
      'state',
      'served',
      'building',
      'failure',
      'parked',
    ])
    expect(page.projections[0]).toMatchObject({
      name: 'providers',
      served: { version: providers.version, lag: 0 },
      building: null,
      parked: { streams: 1, first: [{ stream: 'provider-ghost', revision: '0', held: '1', code: 'EVENT_NOT_FOLDED' }] },
    })
    expect(text.split('\n').length).toBeGreaterThan(10)
  })

  test('are on the status page of all others with counts and codes alone', async () => {
    for (const headers of [{}, { authorization: `Bearer ${analyst.token}` }]) {
      const text = await (await fetch(`${world.url}/status`, { headers })).text()
      expect(JSON.parse(text).projections[0].parked).toEqual({ streams: 1, first: [] })
      expect(text).not.toContain('ghost')
    }
    const response = await fetch(`${world.url}/status`, { headers: { authorization: 'Bearer wrong' } })
    expect(response.status).toBe(401)
  })
})

describe('the retry of a parked stream', () => {
  test('is for operators', async () => {
    expect(await retry(analyst)).toMatchObject({ code: 'PRIVILEGE_NEEDED' })
    expect(await retry(world)).toMatchObject({ code: 'NOT_SIGNED_IN' })
  })

  test('is refused with the reason while the stream cannot be folded, and for a stream that is not parked', async () => {
    await parkedProviders()
    const refused = await retry(operator)
    expect(refused.code).toBe('EVENT_NOT_FOLDED')
    expect(refused.details).toContainEqual({ name: 'revision', value: '0' })
    expect(refused.details).toContainEqual({ name: 'error', value: expect.stringMatching(/finds no row to change/) })
    for (const input of [
      { ...ghost, stream: 'provider-p' },
      { ...ghost, projection: 'nothing' },
    ])
      expect(await retry(operator, input)).toMatchObject({ code: 'PARKED_STREAM_UNKNOWN' })
  })

  test('folds the stream once it can be folded', async () => {
    await parkedProviders()
    const lenient = {
      ...providers,
      fold: ((row, event, metadata, key) =>
        row || event.type !== 'ProviderRenamed'
          ? providers.fold(row, event, metadata, key)
          : {
              id: key,
              name: event.name,
              registeredAt: metadata.time,
              position: metadata.position,
              updatedAt: metadata.time,
            }) as typeof providers.fold,
    }
    able = followProjections({ ...world, projections: [lenient] })
    expect(await retry(operator)).toEqual({ ...ghost, events: 2 })
    const { data } = await operator.ask('{ provider(id: "ghost") { name } }')
    expect(data.provider).toEqual({ name: 'Somebody' })
  })
})
