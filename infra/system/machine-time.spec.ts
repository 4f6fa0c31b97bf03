import { execFileSync } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { machineTime } from './machine-time.ts'

test('goes on as time does', async () => {
  const [before, began] = [machineTime(), performance.now()]
  await setTimeout(50)
  const [after, ended] = [machineTime(), performance.now()]
  expect(after.clock).toBe(before.clock)
  expect(Math.abs(after.ms - before.ms - (ended - began))).toBeLessThan(10)
})

test('is the same clock in another process', () => {
  const file = new URL('./machine-time.ts', import.meta.url).href
  const script = `import { machineTime } from '${file}'; console.log(JSON.stringify(machineTime()))`
  const before = machineTime()
  const run = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  const other = JSON.parse(run) as typeof before
  expect(other.clock).toBe(before.clock)
  expect(other.ms).toBeGreaterThan(before.ms)
  expect(other.ms).toBeLessThanOrEqual(machineTime().ms)
})
