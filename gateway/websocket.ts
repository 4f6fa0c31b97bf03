import type { WebsocketHandler } from '@fastify/websocket'
import { type ExecutionArgs, GraphQLError } from 'graphql'
import { makeHandler } from 'graphql-ws/use/@fastify/websocket'
import { Failure } from '../domain/errors.ts'
import { tokenOfConnection } from './auth/token.ts'
import { asGraphQLError } from './graphql/mask.ts'
import type { createGraphQL } from './yoga.ts'

const keepAliveMs = 12_000
const connectionInitMsMax = 5_000
const subscriptionsMax = 100
/** The close code after which clients do not try again with the same token. */
const unauthorizedCode = 4401

/** The execution arguments of one operation, with Yoga's own execute and subscribe. */
type Enveloped = ExecutionArgs & {
  readonly execute: (args: ExecutionArgs) => ReturnType<ReturnType<Yoga['getEnveloped']>['execute']>
  readonly subscribe: (args: ExecutionArgs) => ReturnType<ReturnType<Yoga['getEnveloped']>['subscribe']>
}
type Yoga = ReturnType<typeof createGraphQL>['yoga']

/** Creates the handler of GraphQL over WebSocket (graphql-transport-ws). The token comes with connection_init, and is
 *  verified again for every operation, because it may expire while the connection is open. Limits, masking and metrics
 *  are those of HTTP. */
export const createWebSocketHandler = (
  { yoga, maskError }: ReturnType<typeof createGraphQL>,
  authenticate: (token: string | undefined) => Promise<string | undefined>,
): WebsocketHandler =>
  makeHandler(
    {
      connectionInitWaitTimeout: connectionInitMsMax,
      execute: (args) => (args as Enveloped).execute(args),
      subscribe: (args) => (args as Enveloped).subscribe(args),
      onConnect: async ({ connectionParams, extra: { socket } }) => {
        try {
          await authenticate(tokenOfConnection(connectionParams))
          return true
        } catch (error) {
          if (!(error instanceof Failure)) throw error
          socket.close(unauthorizedCode, error.code)
          return false
        }
      },
      onSubscribe: async (connection, _id, params) => {
        if (Object.keys(connection.subscriptions).length > subscriptionsMax) return [tooManyOperations()]
        try {
          const wallet = await authenticate(tokenOfConnection(connection.connectionParams))
          const { schema, execute, subscribe, contextFactory, parse, validate } = yoga.getEnveloped({
            wallet,
            params,
          } as never)
          const document = parse(params.query)
          const invalid = validate(schema, document)
          if (invalid.length > 0) return invalid
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
          return [maskError(asGraphQLError(error))]
        }
      },
    },
    keepAliveMs,
  )

const tooManyOperations = () =>
  new GraphQLError(`At most ${subscriptionsMax} operations at once.`, { extensions: { code: 'INPUT_INVALID' } })
