import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { newEvent, to } from '../contract.ts'
import { checkAppends } from '../validation.ts'
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

test('of the newest events of a stream only ids and revisions are kept until all are there', async () => {
  const events = [0, 1, 2].map(eventAt)
  const kept: Parameters<KnownIds['begin']>[1][] = []
  const knownIds = createKnownIds()
  const [append] = checkAppends([to('s', 'any', newEvent())])
  if (!append) throw new Error('an append')
  const none = () => {
    throw new Error('not asked for')
  }
  const writer = createWriter({
    connection: {
      append: async () => ({ outcome: 'written', revision: 3n, position: { commit: 9n, prepare: 9n } }),
      readStream: none,
      readAll: none,
      subscribe: none,
      link: none,
      close: none,
    },
    reader: {
      head: none,
      readStream: none,
      readAll: none,
      async *streamPages() {
        for (const event of events.toReversed()) yield [event]
      },
    },
    positions: logPositionsOf('esdb-a'),
    knownIds: {
      ...knownIds,
      begin: (stream, newest) => {
        kept.push([...newest])
        knownIds.begin(stream, newest)
      },
    },
    settleMs: 1_000,
  })
  expect(await writer.append(append)).toMatchObject({ outcome: 'appended', revision: 3n })
  expect(kept).toEqual([events.map(({ id, revision }) => ({ id, revision }))])
})
