import { type DocumentNode, getOperationAST, Kind } from 'graphql'
import type { Plugin } from 'graphql-yoga'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Quotas } from './quotas.ts'

export type GatewayMetrics = ReturnType<typeof createGatewayMetrics>

const bucketsSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/** Creates the metrics of the gateway. Labels are names of the schema and routes of this program, never text of a
 *  client, so their number is bounded. */
export const createGatewayMetrics = (registry: Registry) => {
  const registers = [registry]
  return {
    operationSeconds: new Histogram({
      name: 'neuralmesh_graphql_operation_seconds',
      help: 'How long queries and mutations took, by their first field.',
      labelNames: ['operation', 'outcome'],
      buckets: bucketsSeconds,
      registers,
    }),
    subscriptionsOpen: new Gauge({
      name: 'neuralmesh_graphql_subscriptions_open',
      help: 'Subscriptions that are open now, by their first field.',
      labelNames: ['operation'],
      registers,
    }),
    requests: new Counter({
      name: 'neuralmesh_http_requests_total',
      help: 'HTTP requests by route and status.',
      labelNames: ['method', 'route', 'status'],
      registers,
    }),
  }
}

/** Adds the metric of what clients use at once, by kind. */
export const observeQuotas = <Name extends string>(
  registry: Registry,
  { inUse }: Pick<Quotas<Name>, 'inUse'>,
  names: readonly Name[],
): void => {
  new Gauge({
    name: 'neuralmesh_gateway_in_use',
    help: 'What all clients use at the moment: WebSockets, HTTP requests, operations, and bytes of requests.',
    labelNames: ['kind'],
    registers: [registry],
    collect() {
      for (const kind of names) this.set({ kind }, inUse(kind))
    },
  })
}

/** Returns a label such as "query rentals". It is made of the first field, for clients choose the names of their
 *  operations. */
const labelOf = (document: DocumentNode, operationName: string | null | undefined): string => {
  const operation = getOperationAST(document, operationName)
  const field = operation?.selectionSet.selections.find((selection) => selection.kind === Kind.FIELD)
  return `${operation?.operation ?? 'unknown'} ${field?.name.value ?? 'fragment'}`
}

/** Measures each query and mutation, and counts the open subscriptions. */
export const metricsPlugin = (metrics: GatewayMetrics): Plugin => ({
  onExecute: ({ args }) => {
    const began = performance.now()
    return {
      onExecuteDone: ({ result }) => {
        const failed = 'errors' in result && result.errors !== undefined && result.errors.length > 0
        const labels = { operation: labelOf(args.document, args.operationName), outcome: failed ? 'errors' : 'ok' }
        metrics.operationSeconds.observe(labels, (performance.now() - began) / 1000)
      },
    }
  },
  onSubscribe: ({ args }) => {
    const labels = { operation: labelOf(args.document, args.operationName) }
    return {
      onSubscribeResult: ({ result }) => {
        if (!(Symbol.asyncIterator in result)) return undefined
        metrics.subscriptionsOpen.inc(labels)
        return { onEnd: () => metrics.subscriptionsOpen.dec(labels) }
      },
    }
  },
})
