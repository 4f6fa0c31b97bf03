import { createYoga } from 'graphql-yoga'
import type { Log } from '../infra/telemetry.ts'
import { graphiqlOptions } from './graphiql.ts'
import { type Context, createContext } from './graphql/context.ts'
import { limitsPlugin, storableTextPlugin } from './graphql/limits.ts'
import { createErrorMask } from './graphql/mask.ts'
import { schema } from './graphql/schema.ts'
import { type GatewayMetrics, metricsPlugin } from './metrics.ts'

/** What the transport says about a request, HTTP and WebSocket alike. */
export type Caller = { readonly wallet: string | undefined }

/** GraphQL itself: schema, limits, masking and metrics, the same for every transport. */
export const createGraphQL = ({
  log,
  metrics,
  ...shared
}: Omit<Context, 'wallet' | 'privilege' | 'loaders'> & { readonly log: Log; readonly metrics: GatewayMetrics }) => {
  const maskError = createErrorMask(log)
  const yoga = createYoga<Caller, Context>({
    schema,
    context: ({ wallet }) => createContext({ ...shared, wallet }),
    plugins: [limitsPlugin(), storableTextPlugin(), metricsPlugin(metrics)],
    maskedErrors: { maskError },
    // The page is nine megabytes: loaded when somebody looks at it.
    graphiql: graphiqlOptions,
    renderGraphiQL: async (options) => (await import('@graphql-yoga/render-graphiql')).renderGraphiQL(options ?? {}),
    landingPage: false,
    multipart: false,
    batching: false,
    // Both are the business of fastify.
    cors: false,
    logging: false,
  })
  return { yoga, maskError }
}
