import { expect, test } from '@jest/globals'
import { createMetrics } from '../telemetry.ts'
import { postgresParkedTasks } from './postgres.ts'

test('a database that has stopped answering does not keep back the metrics', async () => {
  const metrics = createMetrics()
  const never = () => new Promise<never>(() => undefined)
  postgresParkedTasks({ database: { query: never, transaction: never }, metrics })
  expect(await metrics.metrics()).toContain('process_cpu_seconds_total')
})
