import type { WebsocketHandler } from '@fastify/websocket'
import { type ExecutionArgs, type GraphQLError, getOperationAST } from 'graphql'
import { handleProtocols, makeServer } from 'graphql-ws'
import type { WebSocket } from 'ws'
import { Failure } from '../domain/errors.ts'
import { createFairTurns } from '../infra/async/fair-turns.ts'
import type { Log } from '../infra/telemetry.ts'
import { tokenOfConnection } from './auth/token.ts'
import { type Connections, takeOperation } from './connections.ts'
import { asGraphQLError } from './graphql/mask.ts'
import { endSocket } from './websocket/ending.ts'
import { watchIntake } from './websocket/intake.ts'
import { createTransport } from './websocket/transport.ts'
import type { createGraphQL } from './yoga.ts'

/** How a message may be cut, beside its size: into frames, and frames into pieces of the stream. */
export const webSocketLimits = { maxFragments: 256, maxBufferedChunks: 2_048 }
const keepAliveMs = 12_000
/** How many short messages of all sockets are read each time that the event loop goes round. */
const messagesPerRoundMax = 20
const connectionInitMsMax = 5_000
/** The close code after which clients do not try again with the same token. */
const unauthorizedCode = 4401
const tooManyCode = 4429
const internalCode = 4500

/** The execution arguments of one operation, with Yoga's own execute and subscribe. */
type Enveloped = ExecutionArgs & {
  readonly execute: (args: ExecutionArgs) => ReturnType<ReturnType<Yoga['getEnveloped']>['execute']>
  readonly subscribe: (args: ExecutionArgs) => ReturnType<ReturnType<Yoga['getEnveloped']>['subscribe']>
}
type Yoga = ReturnType<typeof createGraphQL>['yoga']

/** What belongs to one socket. */
type Extra = {
  readonly socket: WebSocket
  readonly address: string
  expires?: NodeJS.Timeout
  wallet?: string | undefined
}

/** Creates the handler of GraphQL over WebSocket (graphql-transport-ws). The token comes with connection_init, and is
 *  verified again for every operation; the socket is closed when it expires. Limits, masking and metrics are those of
 *  HTTP; how many sockets and operations there may be at once is that of `connections`. */
export const createWebSocketHandler = ({
  graphql: { yoga, maskError },
  authenticate,
  remainingMs,
  messageMsMax,
  connections,
  turn,
  log,
}: {
  readonly graphql: ReturnType<typeof createGraphQL>
  readonly authenticate: (token: string | undefined) => Promise<string | undefined>
  readonly remainingMs: (token: string) => number
  /** How long a client may take to send one message. */
  readonly messageMsMax: number
  readonly connections: Pick<Connections, 'quotas'>
  /** Resolves when the loop has time for one more piece of work of this address. */
  readonly turn: (address: string) => Promise<void>
  readonly log: Log
}): WebsocketHandler => {
  const server = makeServer<Record<string, unknown>, Extra>({
    connectionInitWaitTimeout: connectionInitMsMax,
    execute: (args) => (args as Enveloped).execute(args),
    subscribe: (args) => (args as Enveloped).subscribe(args),
    onConnect: async ({ connectionParams, extra }) => {
      try {
        const token = tokenOfConnection(connectionParams)
        extra.wallet = await authenticate(token)
        if (token !== undefined)
          extra.expires = setTimeout(() => extra.socket.close(unauthorizedCode, 'TOKEN_INVALID'), remainingMs(token))
        return true
      } catch (error) {
        if (!(error instanceof Failure)) throw error
        extra.socket.close(unauthorizedCode, error.code)
        return false
      }
    },
    onSubscribe: async ({ connectionParams, extra }, _id, params) => {
      try {
        const wallet = await authenticate(tokenOfConnection(connectionParams))
        await turn(extra.address)
        const { socket, address } = extra
        // What a socket has not taken is counted as it is sent: an answer without room is not even written.
        const keep = (bytes: number) => {
          const free = connections.quotas.take('requestBytes', { address, wallet }, bytes)
          free?.()
          return free !== undefined
        }
        const client = { address, hasLeft: () => socket.readyState !== socket.OPEN, keep }
        const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
          wallet,
          client,
          params,
        } as never)
        const document = parse(params.query)
        if (!getOperationAST(document, params.operationName)) throw new Failure('OPERATION_RESOLUTION_FAILURE')
        const invalid = validate(schema, document)
        if (invalid.length > 0) return invalid.map(shownError)
        const args: Enveloped = {
          schema,
          document,
          operationName: params.operationName,
          variableValues: params.variables,
          contextValue: await contextFactory(),
          execute,
          subscribe,
        }
        return args
      } catch (error) {
        return [shownError(asGraphQLError(error))]
      }
    },
  })

  /** Returns an error as a client sees it, without what HTTP alone has. */
  const shownError = (error: unknown): GraphQLError => {
    const shown = maskError(error)
    delete shown.extensions.http
    return shown
  }
  const shortTurn = createFairTurns({ perRound: messagesPerRoundMax })
  let messages = 0
  const hasTime = (): boolean => {
    if (messages === 0)
      setImmediate(() => {
        messages = 0
      })
    messages += 1
    return messages <= messagesPerRoundMax
  }

  return function handle(this, socket, { ip: address, raw }) {
    this.websocketServer.options.handleProtocols = handleProtocols
    const { quotas } = connections
    const leave = quotas.take('sockets', { address })
    if (leave === undefined) return endSocket(socket, tooManyCode, 'TOO_MANY_REQUESTS')
    const extra: Extra = { socket, address }
    const fail = (err: unknown) => {
      log.error({ err }, 'a WebSocket failed')
      socket.close(internalCode, 'INTERNAL')
    }
    socket.on('error', (err) => log.debug({ err }, 'a WebSocket broke'))
    const take = (bytes: number) => quotas.take('requestBytes', { address, wallet: extra.wallet }, bytes)
    watchIntake(raw.socket, {
      take,
      isPaused: () => socket.isPaused,
      refuse: (reason) => endSocket(socket, tooManyCode, reason),
      msMax: messageMsMax,
    })

    const begin = (bytes: number) => takeOperation(quotas, { address, wallet: extra.wallet }, bytes)
    const closed = server.opened(
      createTransport(socket, {
        buffer: take,
        begin,
        turn: (isShort) => (isShort ? shortTurn : turn)(address),
        hasTime,
        onError: fail,
      }),
      extra,
    )
    const stopPinging = keepAlive(socket)
    socket.once('close', (code, reason) => {
      stopPinging()
      clearTimeout(extra.expires)
      leave()
      closed(code, String(reason)).catch(fail)
    })
  }
}

/** Pings the client, and cuts off one that does not answer. Returns the function that ends this. */
const keepAlive = (socket: WebSocket): (() => void) => {
  let answered = true
  socket.on('pong', () => {
    answered = true
  })
  const timer = setInterval(() => {
    if (!answered) return socket.terminate()
    answered = false
    socket.ping()
  }, keepAliveMs)
  return () => clearInterval(timer)
}
