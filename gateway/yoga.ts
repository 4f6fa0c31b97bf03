import { createYoga } from 'graphql-yoga'
import type { Log } from '../infra/telemetry.ts'
import { type Client, executionsPlugin } from './executions.ts'
import { answerSizePlugin } from './graphql/answer-size.ts'
import { type Context, createContext } from './graphql/context.ts'
import { createDocumentCaches, documentSizePlugin } from './graphql/documents.ts'
import { leftOutPlugin } from './graphql/left-out.ts'
import { costPlugin, limitsPlugin, storableTextPlugin, validationErrorsPlugin } from './graphql/limits.ts'
import { createErrorMask } from './graphql/mask.ts'
import { schema } from './graphql/schema.ts'
import { variablesPlugin } from './graphql/variables.ts'
import { type GatewayMetrics, metricsPlugin } from './metrics.ts'
import { shareCatchingUp, shareReadModels } from './shares.ts'

/** What each transport passes with a request: its client, and the wallet of the token, undefined for a guest. */
export type Caller = { readonly wallet: string | undefined; readonly client: Client }

/** Creates the GraphQL server: schema, limits, masking and metrics, the same for every transport. */
export const createGraphQL = ({
  log,
  metrics,
  ...shared
}: Omit<Context, 'wallet' | 'client' | 'catchUp' | 'privilege' | 'loaders' | 'answer'> & {
  readonly log: Log
  readonly metrics: GatewayMetrics
}) => {
  const maskError = createErrorMask(log)
  const readOf = shareReadModels(shared.services.read)
  const catchUpOf = shareCatchingUp()
  const yoga = createYoga<Caller, Context>({
    schema,
    context: ({ wallet, client }) => {
      const services = { ...shared.services, read: readOf(client.address) }
      return createContext({ ...shared, services, wallet, client, catchUp: catchUpOf(client.address) })
    },
    plugins: [
      documentSizePlugin(),
      validationErrorsPlugin(),
      limitsPlugin(),
      storableTextPlugin(),
      variablesPlugin(),
      leftOutPlugin(),
      costPlugin(),
      answerSizePlugin(),
      executionsPlugin(),
      metricsPlugin(metrics),
    ],
    parserAndValidationCache: createDocumentCaches(),
    maskedErrors: { maskError },
    // The server has a page of its own: gateway/graphiql-page.ts.
    graphiql: false,
    landingPage: false,
    multipart: false,
    batching: false,
    // fastify does both.
    cors: false,
    logging: false,
  })
  return { yoga, maskError }
}
