import { binaryEvent, EventStoreDBClient } from '@eventstore/db-client'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { codeThrownBy, collect, eventsUntil, idsOf, newEvent, newEvents, newStream, to } from '../contract.ts'
import { openEventStoreDb } from '../eventstoredb.ts'
import type { EventStore } from '../port.ts'

/** Declares what can be provoked on any server, by the limits it has by default and with a client of an operator: on the
 *  server in this process as on a real one. */
export const decisionCases = (urlOf: () => string): void => {
  let store: EventStore
  let operator: EventStoreDBClient
  beforeAll(async () => {
    store = await openEventStoreDb({ url: urlOf(), settleMs: 30_000 })
    operator = EventStoreDBClient.connectionString(urlOf())
  })
  afterAll(async () => {
    await store?.close()
    await operator?.dispose()
  })

  describe('an append above what the server takes by default', () => {
    test.each([
      ['in the call that all share', 'é'.repeat(600_000), /Maximum Append Size of 1048576 /],
      ['in a call of its own', 'x'.repeat(1_100_000), /Maximum Append Size of 1048576 /],
      ['in one message', 'x'.repeat(17_000_000), /message/],
    ])('%s is refused with the reason, and others go on', async (_, text, reason) => {
      const stream = newStream()
      const [large, other] = await Promise.allSettled([
        store.append(to(stream, 'no stream', newEvent('Large', { text }))),
        store.append(to(newStream(), 'no stream', newEvent())),
      ])
      const details = { stream, reason: expect.stringMatching(reason) }
      expect(large).toMatchObject({ reason: { code: 'EVENT_INVALID', details } })
      expect(other).toMatchObject({ value: { outcome: 'appended', repeated: false } })
      expect(await collect(store.readStream(stream))).toEqual([])
    })
  })

  describe('a stream', () => {
    test.each([
      ['truncated', (stream: string) => operator.setStreamMetadata(stream, { truncateBefore: 3 })],
      ['deleted', (stream: string) => operator.deleteStream(stream)],
      ['deleted forever', (stream: string) => operator.tombstoneStream(stream)],
    ])('that an operator has %s is damaged, and nothing is written to it', async (_, cut) => {
      const stream = newStream()
      await store.append(to(stream, 'no stream', ...newEvents(5)))
      await cut(stream)
      const other = await openEventStoreDb({ url: urlOf() })
      try {
        expect(await codeThrownBy(() => collect(other.readStream(stream)))).toBe('STREAM_DAMAGED')
        expect(await codeThrownBy(() => collect(other.readStream(stream, { direction: 'backwards' })))).toBe(
          'STREAM_DAMAGED',
        )
        for (const expected of ['any', 'stream exists'] as const)
          expect(await codeThrownBy(() => other.append(to(stream, expected, newEvent())))).toBe('STREAM_DAMAGED')
      } finally {
        await other.close()
      }
    })
  })

  test('a link comes without its event where that was cut, and ours are read and tailed all the same', async () => {
    const [theirs, links, ours] = [newStream(), newStream(), newStream()]
    const after = await store.head()
    await operator.appendToStream(theirs, binaryEvent({ type: 'Theirs', data: Buffer.from('a') }))
    await operator.appendToStream(links, binaryEvent({ type: '$>', data: Buffer.from(`0@${theirs}`) }))
    const resolved = () => collect(operator.readStream(links, { resolveLinkTos: true }))
    expect(await resolved()).toMatchObject([{ link: { type: '$>' }, event: { type: 'Theirs' } }])
    await operator.deleteStream(theirs)
    const [{ link, event } = {}] = await resolved()
    expect([link?.type, event]).toEqual(['$>', undefined])
    const events = newEvents(2)
    await store.append(to(ours, 'no stream', ...events))
    expect(idsOf(await collect(store.readAll({ after, streamPrefix: ours })))).toEqual(idsOf(events))
    expect(idsOf(await eventsUntil(store, { after, streamPrefix: ours }, 2))).toEqual(idsOf(events))
  })
}
