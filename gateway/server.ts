import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { promisify } from 'node:util'
import fastifyCors from '@fastify/cors'
import fastifyWebsocket from '@fastify/websocket'
import { type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import type { Registry } from 'prom-client'
import { Failure } from '../domain/errors.ts'
import { createFairTurns } from '../infra/async/fair-turns.ts'
import { createSnapshot } from '../infra/async/snapshot.ts'
import { type KeptAddress, listenFailureOf } from '../infra/system/listening.ts'
import type { Log } from '../infra/telemetry.ts'
import { privilegeOf } from './auth/privilege.ts'
import type { SignIn } from './auth/sign-in.ts'
import { tokenOfHeader } from './auth/token.ts'
import { readBody, refuseChunks } from './body.ts'
import { type ConnectionSettings, connectionKinds, createConnections } from './connections.ts'
import {
  answerOddRequests,
  createClientErrorHandler,
  errorAnswerTo,
  errorBody,
  errorHeaders,
  withStatus,
} from './error-answers.ts'
import { addGraphiqlPage, wantsPage } from './graphiql-page.ts'
import type { Health } from './health.ts'
import { httpStatusOf } from './http-status.ts'
import { lingerConnections } from './lingering-close.ts'
import { createGatewayMetrics, observeQuotas } from './metrics.ts'
import { parametersIn, refuseHost, refuseOther, refuseParameters, sizeOfJson } from './request-checks.ts'
import { addRequestUses, healthPath } from './request-uses.ts'
import type { Services } from './services.ts'
import { sliceConnections } from './slices.ts'
import { asksForWebSocket, limitUpgrades } from './upgrades.ts'
import { createWebSocketHandler, webSocketLimits } from './websocket.ts'
import { createGraphQL } from './yoga.ts'

/** The size of the largest request, and so of the largest offer file. */
export const bodyBytesMax = 1024 * 1024
/** Reading a longer body is work of its own, which waits for a turn. */
const bodyAtOnceCharactersMax = 16 * 1024
/** So many connections that wait with a slice get their turn each time that the loop goes round. */
const slicesPerRoundMax = 2
const socketCloseMsMax = 500
/** How long a client may take to send its request. */
const requestMsMax = 30_000
const answerMsMax = 60_000
/** The metrics are written at most once in this time, however many ask. */
const metricsMsMax = 250
const corsSeconds = 86_400
const goingAwayCode = 1001
const graphqlPath = '/graphql'
const answerTypes = 'application/json, and text/event-stream for a subscription'

export type Gateway = {
  /** Starts to listen. Resolves to the URL of the gateway for clients: PUBLIC_URL, or the address that it listens on.
   *  Throws PORT_TAKEN. */
  listen(): Promise<{ readonly url: string; readonly port: number }>
  /** Ends all connections and subscriptions. Resolves within two seconds. */
  close(): Promise<void>
}

/** Creates the server of /graphql (HTTP, SSE, WebSocket, and the GraphiQL page), /health, /ready, /status and
 *  /metrics. */
export const createGateway = ({
  services,
  signIn,
  config,
  log,
  metricsRegistry,
  health,
  address,
  times = { requestMsMax, answerMsMax, metricsMsMax },
}: {
  readonly services: Services
  readonly signIn: SignIn
  readonly config: {
    readonly host: string
    readonly port: number
    readonly publicUrl?: string | undefined
  } & ConnectionSettings
  readonly log: Log
  readonly metricsRegistry: Registry
  readonly health: Health
  /** The address, where this program has taken it already. */
  readonly address?: KeptAddress | undefined
  /** How long a client may take to send its request, and the gateway to answer it; how old its metrics may be. */
  readonly times?: { readonly requestMsMax: number; readonly answerMsMax: number; readonly metricsMsMax: number }
}): Gateway => {
  const closing = new AbortController()
  const metrics = createGatewayMetrics(metricsRegistry)
  const graphql = createGraphQL({ services, signIn, closing: closing.signal, log, metrics })
  const authenticate = async (token: string | undefined) => (token === undefined ? undefined : signIn.verify(token))

  let arrivals = 0
  // Node accepts one connection each time that the loop goes round: a client waits for all that came before it.
  const createCrowdCheck = () => {
    let seen = arrivals
    return () => {
      const crowded = arrivals !== seen
      seen = arrivals
      return crowded
    }
  }
  const turn = createFairTurns({ isCrowded: createCrowdCheck() })
  const connections = createConnections(config)
  const allMetrics = createSnapshot(async () => Buffer.from(await metricsRegistry.metrics()), times.metricsMsMax)
  observeQuotas(metricsRegistry, connections.quotas, connectionKinds)
  const ends = new WeakMap<FastifyRequest, { cancel(): void }>()
  const answerError = (error: unknown, reply: FastifyReply) => {
    const { status, code, details } = errorAnswerTo(error, log)
    // What is refused before the plugin for other origins was asked must be read by them as well.
    return reply.status(status).headers(errorHeaders).send(errorBody(code, details))
  }
  const isAnswering = (socket: Duplex) => [...answersOf(socket)].some(({ headersSent }) => headersSent)
  const app = fastify({
    forceCloseConnections: true,
    logger: false,
    requestTimeout: times.requestMsMax,
    http: {
      headersTimeout: times.requestMsMax,
      connectionsCheckingInterval: Math.ceil(times.requestMsMax / 4),
      // Node leaves a connection that is upgraded, with all answers that were not sent yet.
      shouldUpgradeCallback: (request) =>
        asksForWebSocket(request, graphqlPath) && answersOf(request.socket).size === 0,
      // Refused below, with a code.
      requireHostHeader: false,
    },
    clientErrorHandler: createClientErrorHandler(times.requestMsMax, isAnswering),
    // What the router refuses reaches no hook.
    frameworkErrors: (error, _request, reply) => void answerError(error, reply.header('connection', 'close')),
    // Counted from the gateway: so many addresses are those of our own proxies.
    trustProxy: (_address, hop) => hop < config.proxies,
  })
  app.server.on('connection', (socket) => {
    arrivals += 1
    if (!connections.accept(socket)) socket.destroy()
  })
  const answersOf = sliceConnections(
    app.server,
    createFairTurns({ perRound: slicesPerRoundMax, isCrowded: createCrowdCheck() }),
  )
  app.addHook('preClose', lingerConnections(app.server, answersOf))

  // Before all other work, also that of the plugins.
  app.addHook('onRequest', async (request, reply) => {
    refuseChunks(request.raw, reply.raw)
    refuseHost(request.raw)
  })
  app.addHook('preHandler', async (request, reply) => {
    if (!request.ws) ends.set(request, endAfter(reply, times.answerMsMax))
  })
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none'
    metrics.requests.inc({ method: request.method, route, status: reply.statusCode })
  })
  app.setErrorHandler(async (error, _request, reply) => answerError(error, reply))
  app.setNotFoundHandler(async ({ method, url }, reply) =>
    answerError(new Failure('ROUTE_UNKNOWN', { method, path: url }), reply),
  )

  app.register(fastifyCors, { origin: '*', methods: ['GET', 'POST'], maxAge: corsSeconds, strictPreflight: false })
  app.register(fastifyWebsocket, {
    options: { maxPayload: bodyBytesMax, ...webSocketLimits },
    preClose: async () => {
      const { clients } = app.websocketServer
      for (const socket of clients) {
        // A client that receives this code reconnects and resumes. A client that does not answer is cut off.
        socket.close(goingAwayCode, 'the gateway stops')
        setTimeout(() => socket.terminate(), socketCloseMsMax).unref()
      }
      app.websocketServer.close()
    },
  })

  const useOf = addRequestUses(app, connections)
  // To look for names like "constructor" takes longer than all else; they are ignored as every unknown name is.
  const parseBody = promisify(app.getDefaultJsonParser('ignore', 'ignore'))
  // That of text would gather any number of pieces.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', async (request: FastifyRequest, payload: IncomingMessage) => {
    const grow = (bytes: number) => useOf(request)?.grow(bytes) ?? true
    const body = String(await readBody(payload, { bytesMax: bodyBytesMax, grow }))
    if (!grow(sizeOfJson(body) - body.length)) throw new Failure('TOO_MANY_REQUESTS')
    if (body.length > bodyAtOnceCharactersMax) {
      await turn(request.ip)
      if (request.raw.socket.destroyed) throw new Failure('TOO_MANY_REQUESTS')
    }
    return refuseOther(await parseBody(request, body))
  })

  const servePage = addGraphiqlPage(app, `${graphqlPath}/page`)
  const serve = async (request: FastifyRequest, reply: FastifyReply) => {
    if (wantsPage(request)) return servePage(request, reply)
    const token = tokenOfHeader(request.headers.authorization)
    const wallet = await authenticate(token)
    refuseParameters(request.method === 'GET' ? parametersIn(request.query) : request.body)
    const onStream = () => {
      ends.get(request)?.cancel()
      if (token !== undefined) endAfter(reply, signIn.remainingMs(token))
    }
    const hasLeft = () => reply.raw.destroyed
    const use = useOf(request)
    const settled = use?.work()
    try {
      await turn(request.ip)
      if (hasLeft()) return reply.hijack()
      const client = { address: request.ip, hasLeft, onStream, keep: (bytes: number) => use?.grow(bytes) ?? true }
      const answer = await graphql.yoga.handleNodeRequestAndResponse(request, reply, { wallet, client })
      if (answer.status === 406)
        throw withStatus(406, 'Its Accept names nothing that can be sent', { takes: answerTypes })
      return answer
    } finally {
      settled?.()
    }
  }
  // Routes are added after the plugins: the WebSocket plugin inspects each route as it is added.
  app.after(() => {
    answerOddRequests(app.server, app.websocketServer, isAnswering)
    const endUpgrades = limitUpgrades(app.server, app.websocketServer)
    app.addHook('preClose', async () => endUpgrades())
    app.route({
      method: 'GET',
      url: graphqlPath,
      handler: serve,
      wsHandler: createWebSocketHandler({
        graphql,
        authenticate,
        remainingMs: signIn.remainingMs,
        messageMsMax: times.requestMsMax,
        connections,
        turn,
        log,
      }),
    })
    app.route({ method: 'POST', url: graphqlPath, handler: serve })
    app.get('/', async (_request, reply) => reply.redirect(graphqlPath))
    app.get(healthPath, async () => ({ status: 'alive' }))
    app.get('/ready', async (_request, reply) => {
      const readiness = await health.ready()
      return reply.status(readiness.ready ? 200 : 503).send(readiness)
    })
    app.get('/status', async (request, reply) => {
      const wallet = await authenticate(tokenOfHeader(request.headers.authorization))
      const page = await health.status(privilegeOf(services.privileged, wallet) === 'operator')
      // Indented, for human readers.
      return reply.type('application/json').send(`${JSON.stringify(page, null, 2)}\n`)
    })
    app.get('/metrics', async (_request, reply) => reply.type(metricsRegistry.contentType).send(await allMetrics()))
  })

  return {
    listen: async () => {
      const { host, port } = config
      try {
        await app.listen({ host, port, ...address?.handOver() })
        app.server.ref()
      } catch (error) {
        throw listenFailureOf(error, { host, port, hostVariable: 'HOST', portVariable: 'PORT' })
      }
      const bound = app.server.address()
      const boundPort = typeof bound === 'object' && bound !== null ? bound.port : port
      return { url: config.publicUrl ?? `http://${authorityOf(host)}:${boundPort}`, port: boundPort }
    },
    close: async () => {
      // The connections are closed first: a subscriber must not take the end of the gateway for the end of its
      // subscription.
      await app.close()
      closing.abort()
    },
  }
}

/** Ends an answer that takes too long, or a stream of events whose token expires: with a code, unless it has begun. */
const endAfter = ({ raw }: FastifyReply, ms: number): { cancel(): void } => {
  const timer = setTimeout(
    () => {
      if (raw.headersSent) {
        raw.destroy()
        return
      }
      const body = JSON.stringify(errorBody('ANSWER_TIMED_OUT'))
      const length = { 'content-length': Buffer.byteLength(body) }
      raw.writeHead(httpStatusOf('ANSWER_TIMED_OUT'), { ...errorHeaders, ...length }).end(body)
    },
    Math.max(ms, 0),
  )
  const cancel = () => clearTimeout(timer)
  raw.once('close', cancel)
  return { cancel }
}

/** Returns the host of a URL for a host that the gateway listens on. The address for "all interfaces" cannot be
 *  visited; it becomes an IPv4 address, which wallets accept in a sign-in message. */
const authorityOf = (host: string): string => {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
