import { Counter, Gauge } from 'prom-client'
import type { Metrics } from '../../infra/telemetry.ts'

/** The counters of the runners. */
export type ProjectionMetrics = {
  /** Counts events that were folded. */
  folded(projection: string, events: number): void
  /** Counts that a read model had to wait, or that a stream was parked. */
  failed(projection: string, code: string): void
  /** Sets the number of parked streams. */
  parked(projection: string, streams: number): void
}

/** Returns the counters in a registry; runners that share the registry share the figures. */
export const projectionMetrics = (registry: Metrics): ProjectionMetrics => {
  const counter = (name: string, help: string, labelNames: string[]): Counter =>
    (registry.getSingleMetric(name) as Counter | undefined) ??
    new Counter({ name, help, labelNames, registers: [registry] })
  const folded = counter('projection_events_total', 'Events folded into a read model.', ['projection'])
  const failed = counter(
    'projection_failures_total',
    'How often a read model had to wait and try again, or to park a stream.',
    ['projection', 'code'],
  )
  const parkedName = 'projection_parked_streams'
  const parked =
    (registry.getSingleMetric(parkedName) as Gauge | undefined) ??
    new Gauge({
      name: parkedName,
      help: 'Streams that a read model cannot fold any further.',
      labelNames: ['projection'],
      registers: [registry],
    })
  return {
    folded: (projection, events) => folded.inc({ projection }, events),
    failed: (projection, code) => failed.inc({ projection, code }),
    parked: (projection, streams) => parked.set({ projection }, streams),
  }
}
