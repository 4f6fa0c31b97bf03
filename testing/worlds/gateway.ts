import { createClient as createSocketClient } from 'graphql-ws'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { WebSocket } from 'ws'
import { createSignIn } from '../../gateway/auth/sign-in.ts'
import type { ConnectionSettings } from '../../gateway/connections.ts'
import { createHealth, type Readiness } from '../../gateway/health.ts'
import { createGateway } from '../../gateway/server.ts'
import { createServices, type Services } from '../../gateway/services.ts'
import type { Cluster } from '../../infra/clusters/port.ts'
import { openPostgresEventStore } from '../../infra/event-store/postgres.ts'
import { postgresUsedNonces } from '../../infra/nonces/postgres.ts'
import { postgresParkedTasks } from '../../infra/parked-tasks/postgres.ts'
import { migrateOperations } from '../../infra/postgres.ts'
import { createLog, createMetrics } from '../../infra/telemetry.ts'
import { allProjections } from '../../projections/all.ts'
import { openReadModels } from '../../projections/database.ts'
import { startProjections } from '../../projections/engine/start.ts'
import { createTestDatabase } from '../servers/database.ts'
import { steadyHeartbeats } from './heartbeats.ts'
import { createMarket } from './market.ts'

const chain = {
  chainId: 31337,
  rpcUrl: 'http://127.0.0.1:8545',
  token: '0x0000000000000000000000000000000000000001',
  marketplace: '0x0000000000000000000000000000000000000002',
  asset: 'USDC/6',
} as const

export type Answer = {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: a spec knows itself which answer it expects.
  readonly data?: any
  readonly errors?: readonly { readonly message: string; readonly extensions: Record<string, unknown> }[]
}

/** What the settings are when none is set. */
export const connectionSettings: ConnectionSettings = {
  proxies: 0,
  connectionsPerAddress: 300,
  operationsPerAddress: 500,
}

/** The parts that a spec may replace. */
export type Replaced = {
  readonly services?: (real: Services) => Partial<Services>
  readonly ready?: () => Promise<Readiness>
  readonly config?: Partial<ConnectionSettings>
  readonly times?: { readonly requestMsMax: number; readonly answerMsMax: number }
}

/** Starts a gateway on a free port, over a real event store, real read models and a market with its own clock. There is
 *  no chain, cluster or background process: a saga runs only in the request that starts it. `asked` are the labels of
 *  the queries to the read models, `logged` what was logged as an error. */
export const createGatewayWorld = async (replaced: Replaced = {}) => {
  const { url: databaseUrl, connect, drop } = await createTestDatabase()
  const logged: Record<string, unknown>[] = []
  const log = createLog({ level: 'error', format: 'json' }, { write: (line) => logged.push(JSON.parse(line)) })
  const database = connect({ log, poolSize: 10 })
  await migrateOperations(database)
  const store = await openPostgresEventStore({ database, pollMs: 50 })
  const asked: string[] = []
  const read = await openReadModels({
    url: databaseUrl,
    log,
    projections: allProjections,
    onQuery: (label) => asked.push(label),
  })
  const projections = startProjections({ projections: allProjections, store, database, log })
  const metricsRegistry = createMetrics()
  const parkedTasks = postgresParkedTasks({ database, metrics: metricsRegistry })
  const market = createMarket(store)
  const { commands, now } = market
  const jobLogs = new Map<string, string>()
  const readLog: Cluster['readLog'] = async ({ jobId, attempt }, offset, bytesMax) => {
    const text = (jobLogs.get(`${jobId}/${attempt}`) ?? '').slice(offset, offset + bytesMax)
    return { text, nextOffset: offset + text.length }
  }
  const real = createServices({
    store,
    commands,
    read,
    heartbeats: steadyHeartbeats(),
    cluster: { readLog },
    projections,
    parkedTasks,
    chain: { description: chain },
    config: { operators: [], auditors: [], analysts: [] },
    now,
  })
  let url = ''
  const signIn = createSignIn({
    jwtSecret: 'a secret for tests that is long enough',
    publicUrl: () => url,
    chainId: chain.chainId,
    usedNonces: postgresUsedNonces(database),
    now,
  })
  const health = createHealth({
    projections,
    parkedTasks,
    isUp: async () => true,
    roles: ['gateway', 'projector'],
    ageMs: 0,
    now,
  })
  const gateway = createGateway({
    services: { ...real, ...replaced.services?.(real) },
    signIn,
    config: {
      host: '127.0.0.1',
      port: 0,
      ...connectionSettings,
      ...replaced.config,
    },
    times: { requestMsMax: 30_000, answerMsMax: 60_000, metricsMsMax: 0, ...replaced.times },
    log,
    metricsRegistry,
    health: { ...health, ...(replaced.ready && { ready: replaced.ready }) },
  })
  const listening = await gateway.listen()
  url = listening.url

  /** Sends a query over HTTP. Without `token` it is a guest's. */
  const ask = async (query: string, variables: object = {}, token?: string): Promise<Answer> => {
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
      body: JSON.stringify({ query, variables }),
    })
    return { status: response.status, ...((await response.json()) as object) }
  }

  return {
    url,
    databaseUrl,
    port: listening.port,
    gateway,
    database,
    store,
    market,
    signIn,
    asked,
    logged,
    registry: metricsRegistry,
    jobLogs,
    ask,
    /** Opens a client over WebSocket, as browsers have it. */
    socket: (connectionParams: Record<string, unknown> = {}) =>
      createSocketClient({
        url: `${url.replace('http', 'ws')}/graphql`,
        webSocketImpl: WebSocket,
        connectionParams,
        retryAttempts: 0,
        lazyCloseTimeout: 0,
      }),
    /** Signs a new wallet in, by the public API. */
    newUser: async (account: PrivateKeyAccount = privateKeyToAccount(generatePrivateKey())) => {
      const asked = await ask(
        'mutation ($input: SignInMessageInput!) { signInMessage(input: $input) { ... on SignInMessageSuccess { message } } }',
        { input: { address: account.address } },
      )
      const { message } = asked.data.signInMessage
      const signed = await ask(
        'mutation ($input: SignInInput!) { signIn(input: $input) { ... on SignInSuccess { token wallet } ... on Error { code } } }',
        { input: { message, signature: await account.signMessage({ message }) } },
      )
      const { token, wallet } = signed.data.signIn as { token: string; wallet: string }
      return { token, wallet, ask: (query: string, variables: object = {}) => ask(query, variables, token) }
    },
    close: async () => {
      await gateway.close()
      await projections.close()
      await read.close()
      await store.close()
      await drop()
    },
  }
}

export type GatewayWorld = Awaited<ReturnType<typeof createGatewayWorld>>
