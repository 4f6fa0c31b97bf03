import { expect, test } from '@jest/globals'
import { Failure } from '../../../domain/errors.ts'
import { eventually } from '../../../testing/eventually.ts'
import type { Query } from '../../postgres.ts'
import { codeThrownBy } from '../contract.ts'
import { positionsOf } from '../position.ts'
import { createKnownInPostgres } from './known.ts'
import type { Reader } from './reader.ts'
import { createTail } from './subscription.ts'

/** Creates a tail on a log to which other processes append: `move` gives it a new end and sends the NOTIFY. No event
 *  passes the filter. */
const createWorld = () => {
  let end = 0n
  let asked = 0
  let failure: Failure | undefined
  let onNotify: (payload: string) => void = () => undefined
  const query = (async () => []) as unknown as Query
  const known = createKnownInPostgres({ query, storeId: () => 'a', pauseMs: 1 })
  const assertSame = () => {
    if (failure) throw failure
  }
  const reader: Reader = {
    head: async () => {
      asked += 1
      assertSame()
      return end
    },
    pages: () => ({ next: async (_low, high) => ({ events: [], bytes: 0, through: high, isFull: false }) }),
    readStream: () => {
      throw new Error('No stream is read.')
    },
    readAll: () => {
      throw new Error('Not all is read.')
    },
  }
  const listen = async (_: string, notify: typeof onNotify) => {
    onNotify = notify
    notify('')
    return { close: async () => undefined }
  }
  const positions = positionsOf('pg-a')
  const tail = createTail({ known: { ...known, assertSame }, listen, reader, positions, pollMs: 3_600_000 })
  return {
    tail,
    positions,
    asked: () => asked,
    replace: () => {
      failure = new Failure('LOG_REPLACED')
      onNotify('')
    },
    move: () => {
      end += 1n
      onNotify(String(end))
      return end
    },
  }
}

test('the only subscriber that leaves and comes again, however soon, is woken by NOTIFY', async () => {
  const { tail, positions, move } = createWorld()
  const stop = new AbortController()
  let after = 0n
  const begin = () => tail.subscribe({ after: positions.of(after), signal: stop.signal })[Symbol.asyncIterator]()
  let subscription = begin()
  let pending = subscription.next()
  for (let turns = 0; turns < 20; turns += 1) {
    after = move()
    expect((await pending).value?.position).toBe(positions.of(after))
    void subscription.return?.(undefined)
    for (let turn = 0; turn < turns; turn += 1) await Promise.resolve()
    subscription = begin()
    pending = subscription.next()
  }
  stop.abort()
  await pending
  await tail.close()
})

test('nothing is asked any more of a log that was replaced', async () => {
  const { tail, asked, move, replace } = createWorld()
  const { signal } = new AbortController()
  const follow = () =>
    codeThrownBy(async () => {
      for await (const _ of tail.subscribe({ signal }));
    })
  const ended = [follow(), follow()]
  await eventually('the poll sleeps', () => asked() === 2)
  replace()
  expect(await Promise.all(ended)).toEqual(['LOG_REPLACED', 'LOG_REPLACED'])
  expect(await follow()).toBe('LOG_REPLACED')
  move()
  expect(asked()).toBe(3)
  await tail.close()
})
