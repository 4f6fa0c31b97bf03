import { expect, test } from '@jest/globals'
import type { Json, Position, StoredEvent } from '../../infra/event-store/port.ts'
import { redactFreeText } from './redaction.ts'

const stored = (type: string, data: Json, schemaVersion = 1): StoredEvent => ({
  id: '00000000-0000-4000-8000-000000000001',
  type,
  data,
  metadata: {
    ...{ commandId: 'c', correlationId: 'k', causationId: 'c', actor: 'user:0xr', time: '2026-01-01T00:00:00.000Z' },
    schemaVersion,
  },
  stream: 'job-j1',
  revision: 0n,
  position: 'p1' as Position,
})

test('what a program said is left out, and named; the rest stays as it was stored', () => {
  const data = { attempt: 1, percent: 5, message: 'my secret', reportedAt: '2026-01-01T00:00:00.000Z' }
  const { message, ...rest } = data
  expect(redactFreeText(stored('JobProgressed', data))).toEqual({ data: rest, withheld: ['message'] })
})

test('a wallet is no such words, and neither is an account of the chart', () => {
  const posting = { debit: 'user:0xr:available', credit: 'user:0xr:held', amount: { amount: '5', asset: 'USDC/6' } }
  const data = { user: '0xr', rental: 'r1', posting }
  expect(redactFreeText(stored('FundsHeld', data))).toEqual({ data, withheld: [] })
})

test.each([
  ['of a version that is not known', stored('JobProgressed', { message: 'my secret' }, 99)],
  ['of a type that is not known', stored('JobWhispered', { message: 'my secret' })],
])('of an event %s nothing is shown', (_, event) =>
  expect(redactFreeText(event)).toEqual({ data: {}, withheld: ['message'] }),
)
