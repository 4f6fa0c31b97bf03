import { EventEmitter, once } from 'node:events'
import { expect, test } from '@jest/globals'
import { Failure } from '../domain/errors.ts'
import { onFaults } from './faults.ts'
import { createShutdown } from './shutdown.ts'
import { createLog } from './telemetry.ts'

const world = () => {
  const lines: Record<string, unknown>[] = []
  const log = createLog({ level: 'info', format: 'json' }, { write: (line) => lines.push(JSON.parse(line)) })
  const program = Object.assign(new EventEmitter(), { exit: (code: number) => void program.emit('exit', code) })
  const shutdown = createShutdown(log, program, undefined, 200)
  onFaults({ log, shutdown, reason: 'a fault' }, program)
  const levels = () => lines.map(({ level }) => level)
  return { lines, levels, program, shutdown, exited: once(program, 'exit') }
}

test.each([
  [new RangeError('The value of "length" is out of range.'), 'INTERNAL'],
  [new Failure('DATABASE_UNAVAILABLE', { reason: 'gone' }), 'DATABASE_UNAVAILABLE'],
  ['text that was thrown', 'INTERNAL'],
  [undefined, 'INTERNAL'],
])('a fault is one fatal line with a code, and an orderly stop with exit code 1: %p', async (fault, code) => {
  const { program, shutdown, lines, exited } = world()
  const reasons: string[] = []
  shutdown.add('database', (reason) => reasons.push(reason))
  program.emit('uncaughtException', fault, 'uncaughtException')
  expect(await exited).toEqual([1])
  expect(reasons).toEqual(['a fault'])
  expect(lines.filter(({ level }) => level === 'fatal')).toMatchObject([{ code, err: { stack: expect.any(String) } }])
})

test('faults during the stop neither begin it anew nor fill the log, and a part that hangs does not keep it', async () => {
  const { program, shutdown, levels, exited } = world()
  let closed = 0
  shutdown.add('last', () => {
    closed += 1
  })
  shutdown.add('hangs', () => new Promise<never>(() => undefined))
  for (let count = 0; count < 100; count++) program.emit('uncaughtException', new Error('again'), 'uncaughtException')
  expect(await exited).toEqual([1])
  expect(closed).toBe(1)
  expect(levels().filter((level) => level === 'fatal').length).toBe(1)
  expect(levels().filter((level) => level === 'error').length).toBe(19 + 1)
})
