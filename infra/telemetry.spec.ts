import { describe, expect, test } from '@jest/globals'
import { Counter } from 'prom-client'
import { Failure } from '../domain/errors.ts'
import { createLog, createMetrics, prettyLine } from './telemetry.ts'

const collect = (format: 'pretty' | 'json', level: 'info' | 'warn' = 'info') => {
  const lines: string[] = []
  return { lines, log: createLog({ level, format }, { write: (line) => lines.push(line) }) }
}

describe('the log', () => {
  test('JSON names the level and the time', () => {
    const { lines, log } = collect('json')
    log.child({ part: 'cluster' }).info({ jobId: 'j-1' }, 'started')
    const { time, ...rest } = JSON.parse(lines[0] ?? '')
    expect(rest).toEqual({ level: 'info', part: 'cluster', jobId: 'j-1', msg: 'started' })
    expect(new Date(time).toISOString()).toBe(time)
  })

  test('lines below the level are left out', () => {
    const { lines, log } = collect('json', 'warn')
    log.info('no')
    log.warn('yes')
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['yes'])
  })

  test('a line for people', () => {
    const line = { level: 'warn', time: '2026-01-02T03:04:05.678Z', part: 'chain', msg: 'slow', block: 7, hash: '0x1' }
    expect(prettyLine(JSON.stringify(line))).toBe('03:04:05 warn  chain slow block=7 hash=0x1\n')
  })

  test.each([
    '\n03:04:05 error ledger money lost',
    '\r',
    '\u001b[2J\u001b[1;1H',
    '\u2028',
    '\u202e',
    '\u0085',
    '\u0000',
  ])('is one line, whatever a stranger named something: %j', (name) => {
    const line = prettyLine(JSON.stringify({ level: 'info', time: '', part: name, msg: name, name }))
    expect(line).toMatch(/^[^\p{Cc}\u2028\u202e]+\n$/u)
  })

  test('a failure is one line with its code and what to do', () => {
    const { lines, log } = collect('pretty')
    log.error({ err: new Failure('PORT_TAKEN', { port: '4000' }) }, 'cannot start')
    expect(lines.join('')).toMatch(
      /^\S+ error cannot start error=PORT_TAKEN: The port is taken.*\(port: 4000\) Stop.*\n$/,
    )
  })

  test('an unexpected error shows its stack', () => {
    const { lines, log } = collect('pretty')
    log.error({ err: new Error('boom') }, 'cannot go on')
    expect(lines.join('')).toMatch(/error cannot go on error=boom\nError: boom\n +at /)
  })
})

test('two registries are separate, and both have the default metrics', async () => {
  const [one, two] = [createMetrics(), createMetrics()]
  new Counter({ name: 'rentals_total', help: 'x', registers: [one] }).inc(3)
  expect(await one.metrics()).toContain('rentals_total 3')
  expect(await two.metrics()).not.toContain('rentals_total')
  expect(await two.metrics()).toContain('process_cpu_seconds_total')
})
