// What an operator sees of a server that does not answer at a start. No server runs here: nothing listens on these ports.
import { describe, expect, test } from '@jest/globals'
import { Failure } from '../domain/errors.ts'
import { sleep } from './async/sleep.ts'
import { tellWhileWaiting } from './async/waiting.ts'
import { openEventStoreDb } from './event-store/eventstoredb.ts'
import { checkDatabase } from './postgres.ts'
import { createLog, type Log } from './telemetry.ts'

const waitMs = 2_200

const openers: readonly (readonly [
  variable: string,
  address: string,
  code: string,
  open: (log: Log) => Promise<unknown>,
])[] = [
  ...(['127.0.0.1:9', 'no-such-host.invalid:5432'] as const).map(
    (at) =>
      [
        'DATABASE_URL',
        `${at}/theirs`,
        'DATABASE_UNREACHABLE',
        (log: Log) => checkDatabase({ url: `postgres://somebody:a-secret@${at}/theirs`, log, waitMs }),
      ] as const,
  ),
  [
    'DATABASE_URL',
    '/no/such/folder:5432/theirs',
    'DATABASE_UNREACHABLE',
    (log) => checkDatabase({ url: 'postgres://somebody:a-secret@/theirs?host=/no/such/folder', log, waitMs }),
  ],
  ...(['127.0.0.1:9', '127.0.0.1:9,127.0.0.1:10'] as const).map(
    (at) =>
      [
        'EVENTSTORE_URL',
        at,
        'EVENT_STORE_UNREACHABLE',
        (log: Log) => openEventStoreDb({ url: `esdb://somebody:a-secret@${at}?tls=false`, log, openMs: waitMs }),
      ] as const,
  ),
]

describe('a server that does not answer at a start', () => {
  test.concurrent.each(openers)(
    'of %s at %s is %s, and is told of meanwhile',
    async (variable, address, code, open) => {
      const lines: string[] = []
      const log = createLog({ level: 'info', format: 'json' }, { write: (line) => lines.push(line) })
      const failure = await open(log).then(
        () => 'it answered',
        (error: unknown) => error,
      )
      if (!(failure instanceof Failure)) throw failure
      expect({ code: failure.code, details: failure.details }).toEqual({
        code,
        details: { address, reason: expect.any(String) },
      })
      expect(failure.message).toContain(variable)
      expect(failure.message).not.toContain('equest')
      const told = lines.map((line) => JSON.parse(line)).filter(({ seconds }) => seconds !== undefined)
      expect(told[0]).toMatchObject({ level: 'warn', variable, address, seconds: 2 })
      expect(`${failure.message}${lines.join('')}`).not.toContain('a-secret')
    },
  )
})

test('what is waited for is told first after a while, then now and then, and no more once it is there', async () => {
  const told: number[] = []
  const tell = (seconds: number) => told.push(seconds)
  expect(await tellWhileWaiting(Promise.resolve('there'), tell, { firstMs: 0, everyMs: 1 })).toBe('there')
  expect(told).toEqual([])
  await tellWhileWaiting(sleep(200), tell, { firstMs: 20, everyMs: 20 })
  const count = told.length
  expect(count).toBeGreaterThanOrEqual(2)
  await sleep(60)
  expect(told).toHaveLength(count)
  const failing = sleep(50).then(() => {
    throw new Error('gone')
  })
  await expect(tellWhileWaiting(failing, tell, { firstMs: 10, everyMs: 10 })).rejects.toThrow('gone')
  expect(told.length).toBeGreaterThan(count)
})
