import { describe, expect, test } from '@jest/globals'
import { answer, rpcError } from './json-rpc.ts'

const echo = async (method: string, params: readonly unknown[]) => {
  if (method === 'fail') throw rpcError(3, 'reverted', { message: 'reverted', data: '0x1234' })
  if (method === 'break') throw new Error('oops')
  return [method, ...params]
}
const ask = async (body: unknown) => {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const answered = await answer(text, echo, { batchRequestsMax: 2, answerBytesMax: 200 })
  return answered === undefined ? undefined : JSON.parse(answered)
}
const error = (id: unknown, code: number, message: unknown = expect.any(String)) => ({
  jsonrpc: '2.0',
  id,
  error: { code, message },
})

describe('a JSON-RPC body', () => {
  test('gets its result', async () =>
    expect(await ask({ jsonrpc: '2.0', id: 7, method: 'm', params: [1] })).toEqual({
      jsonrpc: '2.0',
      id: 7,
      result: ['m', 1],
    }))
  test('may leave params out', async () =>
    expect(await ask({ id: 'a', method: 'm' })).toEqual({ jsonrpc: '2.0', id: 'a', result: ['m'] }))
  test('that reverts gets what the contract returned, bare', async () =>
    expect(await ask({ id: 1, method: 'fail' })).toEqual({
      jsonrpc: '2.0',
      id: 1,
      error: { code: 3, message: 'reverted', data: '0x1234' },
    }))
  test('that breaks something is an internal error', async () =>
    expect(await ask({ id: 1, method: 'break' })).toEqual(error(1, -32603, 'oops')))
  test('that is not JSON', async () => expect(await ask('{')).toEqual(error(null, -32700)))
  test('that is no request', async () => expect(await ask({ id: 1 })).toEqual(error(null, -32600)))
  test('with named params', async () => expect(await ask({ id: 1, method: 'm', params: {} })).toEqual(error(1, -32600)))
  test('without id gets no answer', async () => expect(await ask({ method: 'm' })).toBeUndefined())
  test('in a batch is answered in its order, without the notifications', async () => {
    expect(await ask([{ id: 2, method: 'b' }, { method: 'a' }])).toEqual([{ jsonrpc: '2.0', id: 2, result: ['b'] }])
    expect(await ask([{ id: 2, method: 'b' }, 5])).toEqual([
      { jsonrpc: '2.0', id: 2, result: ['b'] },
      error(null, -32600),
    ])
    expect(await ask([{ method: 'b' }])).toBeUndefined()
  })
  test('is refused where its answer would be too large, alone and as the rest of a batch', async () => {
    const large = (id: number, characters: number) => ({ id, method: 'm', params: ['x'.repeat(characters)] })
    const refused = error(1, -32005, 'The answer is too large')
    expect(await ask(large(1, 200))).toEqual(refused)
    expect(await ask([large(0, 120), large(1, 120)])).toEqual([
      expect.objectContaining({ id: 0, result: expect.anything() }),
      refused,
    ])
  })
  test('in an empty batch or one too large is refused', async () => {
    expect(await ask([])).toEqual(error(null, -32600))
    expect(await ask([1, 2, 3])).toEqual(error(null, -32600, 'A batch holds at most 2 requests'))
  })
})
