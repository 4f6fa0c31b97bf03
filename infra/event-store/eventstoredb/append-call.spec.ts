import { EventEmitter } from 'node:events'
import { expect, test } from '@jest/globals'
import { createAppendCall, type DuplexCall } from './append-call.ts'
import { decodeAppendAnswer } from './messages.ts'

/** Opens calls whose other side is the spec. */
const begin = (options?: Parameters<typeof createAppendCall>[1]) => {
  const calls: (EventEmitter & { sent: string[]; cancelled: boolean })[] = []
  const open = async () => {
    const call = Object.assign(new EventEmitter(), {
      sent: [] as string[],
      cancelled: false,
      // The id of an append stands in its message where that of an answer does.
      write: (message: Buffer) => call.sent.push(decodeAppendAnswer(message.subarray(0, idBytes)).call),
      cancel: () => {
        call.cancelled = true
        call.emit('error', new Error('cancelled'))
      },
    })
    calls.push(call)
    return call as unknown as DuplexCall
  }
  return { calls, ...createAppendCall(open, options) }
}
const idBytes = 40
const request = { stream: 's', expected: 'no stream', events: [] } as const
const written = (revision: bigint) => ({ outcome: 'written', revision, position: undefined }) as const
const turns = async () => {
  for (let turn = 0; turn < 3; turn += 1) await new Promise(setImmediate)
}

test('appends share one call, and each gets its own answer, in any order', async () => {
  const { append, calls } = begin()
  const answers = [1, 2, 3].map(() => append(request))
  await turns()
  expect(calls).toHaveLength(1)
  const [call] = calls
  for (const [n, id] of [...(call?.sent.entries() ?? [])].reverse())
    call?.emit('data', { call: id, answer: written(BigInt(n)) })
  call?.emit('data', { call: 'of nobody', answer: written(9n) })
  expect(await Promise.all(answers)).toEqual([0n, 1n, 2n].map(written))
})

test.each([
  ['breaks', (call: EventEmitter) => call.emit('error', new Error('broken')), 'broken'],
  ['is ended', (call: EventEmitter) => call.emit('end'), 'The database does not answer.'],
])('when the call %s, all that wait hear of it, and the next append opens another', async (_, end, why) => {
  const { append, calls } = begin()
  const answers = Promise.allSettled([1, 2].map(() => append(request)))
  await turns()
  if (calls[0]) end(calls[0])
  expect((await answers).map((one) => one.status === 'rejected' && one.reason.message)).toEqual([
    expect.stringContaining(why),
    expect.stringContaining(why),
  ])
  const next = append(request)
  await turns()
  expect(calls).toHaveLength(2)
  calls[1]?.emit('data', { call: calls[1].sent[0], answer: written(4n) })
  expect(await next).toEqual(written(4n))
})

test('an append without an answer is given up, and so is a call on which nothing comes', async () => {
  const { append, calls } = begin({ answerMsMax: 40 })
  const first = append(request)
  await turns()
  calls[0]?.emit('data', { call: 'another', answer: written(0n) })
  await expect(first).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
  expect(calls[0]?.cancelled).toBe(false)
  const second = append(request)
  await expect(second).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
  expect(calls[0]?.cancelled).toBe(true)
})

test('a call is left when nothing has come on it since a moment', async () => {
  const { append, calls, leave } = begin()
  const answers = Promise.allSettled([append(request), append(request)])
  await turns()
  const sinceMs = performance.now()
  calls[0]?.emit('data', { call: calls[0].sent[0], answer: written(0n) })
  leave(sinceMs)
  expect(calls[0]?.cancelled).toBe(false)
  leave(performance.now() + 1)
  expect(await answers).toMatchObject([
    { value: written(0n) },
    { reason: { message: expect.stringContaining('cancelled') } },
  ])
  const next = append(request)
  await turns()
  expect(calls).toHaveLength(2)
  leave()
  await expect(next).rejects.toThrow('cancelled')
})

test('a call that cannot be opened fails the appends that wait for it, and is opened anew for the next', async () => {
  let attempts = 0
  const { append } = createAppendCall(async () => {
    attempts += 1
    throw new Error('not found')
  })
  expect(await Promise.allSettled([append(request), append(request)])).toMatchObject([
    { reason: { message: 'not found' } },
    { reason: { message: 'not found' } },
  ])
  await expect(append(request)).rejects.toThrow('not found')
  expect(attempts).toBe(2)
})
