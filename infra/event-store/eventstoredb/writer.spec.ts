import { randomUUID } from 'node:crypto'
import { describe, expect, test } from '@jest/globals'
import { sleep } from '../../async/sleep.ts'
import { newEvent, to } from '../contract.ts'
import type { ExpectedRevision } from '../port.ts'
import { checkAppends } from '../validation.ts'
import type { WriteOutcome } from './client.ts'
import type { ServerEvent } from './events.ts'
import { createKnownIds, type KnownIds } from './known-ids.ts'
import { logPositionsOf } from './position.ts'
import { createWriter } from './writer.ts'

const eventAt = (revision: number): ServerEvent => ({
  stream: 's',
  revision: BigInt(revision),
  id: randomUUID(),
  serverId: randomUUID(),
  type: 'Happened',
  isJson: true,
  data: { text: 'large' },
  metadata: {},
  position: { commit: BigInt(revision), prepare: BigInt(revision) },
})

const none = () => {
  throw new Error('not asked for')
}

const writerOn = (options: {
  readonly answer: WriteOutcome | (() => Promise<WriteOutcome>)
  readonly streamPages: Parameters<typeof createWriter>[0]['reader']['streamPages']
  readonly knownIds: KnownIds
  readonly settleMs?: number
}) =>
  createWriter({
    connection: {
      append: async () => (typeof options.answer === 'function' ? options.answer() : options.answer),
      readStream: none,
      readAll: none,
      subscribe: none,
      link: none,
      close: none,
    },
    reader: { lastEvent: none, readStream: none, readAll: none, streamPages: options.streamPages },
    positions: logPositionsOf('esdb-a'),
    knownIds: options.knownIds,
    settleMs: options.settleMs ?? 1_000,
  })

test('of the newest events of a stream only ids and revisions are kept until all are there', async () => {
  const events = [0, 1, 2].map(eventAt)
  const kept: Parameters<KnownIds['begin']>[1][] = []
  const knownIds = createKnownIds()
  const [append] = checkAppends([to('s', 'any', newEvent())])
  if (!append) throw new Error('an append')
  const writer = writerOn({
    answer: { outcome: 'written', revision: 3n, position: { commit: 9n, prepare: 9n } },
    async *streamPages() {
      for (const event of events.toReversed()) yield [event]
    },
    knownIds: {
      ...knownIds,
      begin: (stream, newest) => {
        kept.push([...newest])
        knownIds.begin(stream, newest)
      },
    },
  })
  expect(await writer.append(append)).toMatchObject({ outcome: 'appended', revision: 3n })
  expect(kept).toEqual([events.map(({ id, revision }) => ({ id, revision }))])
})

describe('an append at a revision behind the ids that are kept', () => {
  const events = Array.from({ length: 9 }, (_, revision) => eventAt(revision))
  const writer = () => {
    const knownIds = createKnownIds({ idsPerStreamMax: 3 })
    knownIds.begin('s', events)
    return writerOn({
      answer: { outcome: 'conflict', actual: 8n },
      async *streamPages(_, __, from) {
        yield events.slice(Number(from))
      },
      knownIds,
    })
  }
  const appendOf = (expected: ExpectedRevision, stored: readonly ServerEvent[], data = { text: 'large' }) => {
    const again = stored.map(({ id, type }) => ({ ...newEvent(type, data), id }))
    const [append] = checkAppends([to('s', expected, ...again)])
    if (!append) throw new Error('an append')
    return append
  }

  test.each([
    ['no stream', 0, 2],
    [0n, 1, 1],
    [2n, 3, 2],
  ] as const)('that is there returns the outcome of the first time (%s)', async (expected, from, count) => {
    const last = BigInt(from + count - 1)
    const repeated = { outcome: 'appended', revision: last, repeated: true }
    expect(await writer().append(appendOf(expected, events.slice(from, from + count)))).toMatchObject(repeated)
  })

  test('with other content is refused, and another append is a conflict', async () => {
    const others = { outcome: 'ids known', problem: 'other content' }
    expect(await writer().append(appendOf(0n, events.slice(1, 2), { text: 'other' }))).toMatchObject(others)
    const conflict = { outcome: 'conflict', stream: 's', actual: 8n }
    expect(await writer().append(appendOf(0n, [eventAt(1)]))).toEqual(conflict)
  })
})

test('an append whose ids are read for longer than it may take is made all the same where the server answers', async () => {
  const events = Array.from({ length: 8 }, (_, revision) => eventAt(revision))
  const [append] = checkAppends([to('s', 'any', newEvent())])
  if (!append) throw new Error('an append')
  const writer = writerOn({
    answer: { outcome: 'written', revision: 8n, position: { commit: 9n, prepare: 9n } },
    async *streamPages() {
      for (const event of events.toReversed()) {
        await sleep(60)
        yield [event]
      }
    },
    knownIds: createKnownIds(),
    settleMs: 200,
  })
  expect(await writer.append(append)).toMatchObject({ outcome: 'appended', revision: 8n })
})

test('at the end the answer to an append that was sent is waited for, and what waits behind it is not sent', async () => {
  let sent = 0
  const writer = writerOn({
    answer: async () => {
      sent += 1
      await sleep(100)
      return { outcome: 'written', revision: 0n, position: { commit: 9n, prepare: 9n } }
    },
    streamPages: none,
    knownIds: createKnownIds(),
  })
  const appends = [1, 2].flatMap(() => checkAppends([to('s', 'no stream', newEvent())]))
  const outcomes = Promise.allSettled(appends.map(async (append) => writer.append(append)))
  await sleep(20)
  await writer.close()
  expect(await outcomes).toMatchObject([
    { status: 'fulfilled', value: { outcome: 'appended' } },
    { status: 'rejected', reason: { code: 'DATABASE_UNAVAILABLE' } },
  ])
  expect(sent).toBe(1)
})
