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

test('free text of a program is left out and its field named; the other fields stay as they were stored', () => {
  const data = { attempt: 1, percent: 5, message: 'my secret', reportedAt: '2026-01-01T00:00:00.000Z' }
  const { message, ...rest } = data
  expect(redactFreeText(stored('JobProgressed', data))).toEqual({ data: rest, withheld: ['message'] })
})

test('a wallet is no free text, and neither is an account of the chart', () => {
  const posting = { debit: 'user:0xr:available', credit: 'user:0xr:held', amount: { amount: '5', asset: 'USDC/6' } }
  const data = { user: '0xr', rental: 'r1', posting }
  expect(redactFreeText(stored('FundsHeld', data))).toEqual({ data, withheld: [] })
})

test.each([
  ['of an unknown version', stored('JobProgressed', { message: 'my secret' }, 99)],
  ['of an unknown type', stored('JobWhispered', { message: 'my secret' })],
])('an event %s is shown without any field', (_, event) =>
  expect(redactFreeText(event)).toEqual({ data: {}, withheld: ['message'] }),
)
