import { Counter } from 'prom-client'
import type { Metrics } from '../infra/telemetry.ts'

/** What the runners count. */
export type ProjectionMetrics = {
  folded(projection: string, events: number): void
  failed(projection: string, code: string): void
}

/** Counts into a registry; runners that share it share the figures. */
export const projectionMetrics = (registry: Metrics): ProjectionMetrics => {
  const counter = (name: string, help: string, labelNames: string[]): Counter =>
    (registry.getSingleMetric(name) as Counter | undefined) ??
    new Counter({ name, help, labelNames, registers: [registry] })
  const folded = counter('projection_events_total', 'Events folded into a read model.', ['projection'])
  const failed = counter('projection_failures_total', 'How often a read model had to stop and try again.', [
    'projection',
    'code',
  ])
  return {
    folded: (projection, events) => folded.inc({ projection }, events),
    failed: (projection, code) => failed.inc({ projection, code }),
  }
}
