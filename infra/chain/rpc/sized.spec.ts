import { expect, test } from '@jest/globals'
import { fetchSized } from './sized.ts'

const textOf = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> => {
  const fetching = fetchSized(async () => new Response(bytes))
  return (await fetching('http://node', { body: '{"method":"eth_chainId"}' })).text()
}

test.each(['{}', '\ufeff{}', '\ufeff', '{"text":"\ufeffé"}', '\ufeff\ufeff{}'])(
  'the text of an answer is as a decoder has it: %j',
  async (text) => {
    const bytes = new TextEncoder().encode(text)
    expect(await textOf(bytes)).toBe(new TextDecoder().decode(bytes))
  },
)
