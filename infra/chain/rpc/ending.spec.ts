import { expect, test } from '@jest/globals'
import { custom, TimeoutError } from 'viem'
import { endingTransport } from './ending.ts'

test('a request to a node that lets it wait for ever ends', async () => {
  const never = custom({ request: () => new Promise(() => undefined) })
  const transport = endingTransport(never, 'node.example.com', { retryCount: 1, timeout: 1 })({})
  const error = await transport.request({ method: 'eth_chainId' }).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(TimeoutError)
  expect(String(error)).toContain('node.example.com')
})
