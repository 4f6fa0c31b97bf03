import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { encodeAbiParameters, encodeEventTopics, type Hex, numberToHex, padHex } from 'viem'
import { marketplace as binding } from '../../../contracts/bindings/marketplace.ts'
import { rpcChain } from '../rpc.ts'
import { depositIdOf } from './proved-blocks.ts'

const { abi } = binding
const token = '0x5FbDB2315678afecb367f032d93F642f64180aa3'
const marketplace = '0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512'
const payer = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const word = (value: number): Hex => padHex(numberToHex(value), { size: 32 })

const logAt = (block: number, index: number, perBlock: number) => {
  const deposit = { payer, amount: 1n, sequence: BigInt(block * perBlock + index) } as const
  const depositId = depositIdOf({ chainId: 7, marketplace, token }, deposit)
  return {
    ...{ address: marketplace, blockHash: word(block + 1), blockNumber: numberToHex(block), removed: false },
    ...{ transactionHash: word(block * 10_000 + index + 1), transactionIndex: '0x0', logIndex: numberToHex(index) },
    topics: encodeEventTopics({ abi, eventName: 'Deposited', args: { depositId, payer, token } }),
    data: encodeAbiParameters([{ type: 'uint256' }, { type: 'uint256' }], [deposit.amount, deposit.sequence]),
  }
}
const headerOf = (block: number) => {
  const zeros = { logsBloom: padHex('0x', { size: 256 }), transactions: [] }
  return { hash: word(block + 1), parentHash: word(block), number: numberToHex(block), timestamp: '0x1', ...zeros }
}

type Request = { readonly id: number; readonly method: string; readonly params: readonly { [name: string]: Hex }[] }
type Refuse = (response: ServerResponse, requests: readonly Request[]) => void

let server: Server | undefined
afterEach(async () => {
  server?.closeAllConnections()
  server?.close()
})

/** Starts a node with deposits in each block. Bodies whose range of logs is `isTooMuch` are refused. */
const openNode = async (refuse: Refuse, isTooMuch: (from: number, to: number) => boolean, perBlock = 1) => {
  const asked: string[] = []
  const answerTo = ({ id, method, params }: Request) => {
    const answers: Record<string, () => unknown> = {
      eth_chainId: () => '0x7',
      eth_getCode: () => '0x60',
      eth_call: () => padHex(token, { size: 32 }),
      eth_getBlockByNumber: () => headerOf(Number(params[0])),
      eth_getLogs: () => {
        const [from, to] = [Number(params[0]?.fromBlock), Number(params[0]?.toBlock)]
        const blocks = Array.from({ length: to - from + 1 }, (_, index) => from + index)
        return blocks.flatMap((block) => Array.from({ length: perBlock }, (_, index) => logAt(block, index, perBlock)))
      },
    }
    return { jsonrpc: '2.0', id, result: answers[method]?.() }
  }
  server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const body = JSON.parse(text) as Request | Request[]
    const requests = [body].flat()
    const range = requests.find(({ method }) => method === 'eth_getLogs')?.params[0]
    const [from, to] = [Number(range?.fromBlock), Number(range?.toBlock)]
    if (range) asked.push(`${from}-${to}`)
    if (range && isTooMuch(from, to)) return refuse(response, requests)
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(Array.isArray(body) ? body.map(answerTo) : answerTo(body)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const rpcUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const where = { rpcUrl, chainId: 7, token, marketplace, asset: 'USDC/6', confirmations: 1 } as const
  const chain = rpcChain({ ...where, headers: 'unchecked', requestMsMax: 400, blocksPerRequestMax: 512 })
  const read = (to: bigint) => chain.readDeposits({ from: 0n, to, final: to })
  return { asked, chain, read }
}

const json =
  (status: number, answer: (id: number) => unknown): Refuse =>
  (response, requests) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    const answers = requests.map(({ id }) => answer(id))
    response.end(JSON.stringify(answers.length > 1 ? answers : answers[0]))
  }
const rpc = (code: number, message: string, status = 200): Refuse =>
  json(status, (id) => ({ jsonrpc: '2.0', id, error: { code, message } }))
const plain =
  (status: number, body: string): Refuse =>
  (response) => {
    response.writeHead(status, { 'content-type': 'text/html' })
    response.end(body)
  }

const refusals: readonly (readonly [string, Refuse])[] = [
  ['-32005 with a limit of results', rpc(-32005, 'query returned more than 10000 results')],
  ['-32602 with a limit of the range', rpc(-32602, 'query exceeds max block range 1000')],
  ['-32000 with a limit of the range', rpc(-32000, 'block range is too wide')],
  ['-32008 with a limit of the answer', rpc(-32008, 'Response is too big')],
  ['-32603 with a time-out of its own', rpc(-32603, 'request timed out')],
  ['-32600 and HTTP 400', rpc(-32600, 'eth_getLogs is limited to a 10 blocks range', 400)],
  ['35 and HTTP 400, as some do', rpc(35, 'ranges over 10000 blocks are not supported on freetier', 400)],
  ['HTTP 413', plain(413, '<h1>Request Entity Too Large</h1>')],
  ['HTTP 504', plain(504, 'Gateway Time-out')],
  ['HTTP 500', plain(500, 'upstream sent too big a body')],
  ['an error for the whole body', (response) => json(200, () => ({ error: 'too large' }))(response, [{} as Request])],
  ['an answer above what is taken', (response) => void response.end(Buffer.alloc(11 << 20, 0x20))],
  [
    'an answer announced above what is taken',
    (response) => void response.writeHead(200, { 'content-length': String(30 << 20) }).end('['),
  ],
  ['an answer that does not come', () => undefined],
  ['an answer that stalls half way', (response) => void response.writeHead(200).write('[{"jsonrpc":')],
  ['an answer that is cut off', plain(200, '[{"jsonrpc":"2.0","id":1,"result":[{"addr')],
  ['a connection that breaks', (response) => void response.destroy()],
]

describe('a range that a node does not answer is halved', () => {
  test.each(refusals)('%s', async (_, refuse) => {
    const { asked, chain, read } = await openNode(refuse, (from, to) => to - from >= 100)
    expect((await read(599n)).deposits.map(({ blockNumber }) => Number(blockNumber))).toEqual(
      Array.from({ length: 600 }, (_, block) => block),
    )
    expect(asked.slice(0, 4)).toEqual(['0-511', '0-255', '0-127', '0-63'])
    const before = asked.length
    expect(await chain.deposits(0n, 10n)).toHaveLength(11)
    expect(asked.slice(before)).toEqual(['0-10'])
  })

  test.each(refusals.slice(0, 12))('down to one block: %s', async (_, refuse) => {
    const { asked, read } = await openNode(refuse, (from, to) => to > from)
    expect((await read(256n)).deposits).toHaveLength(257)
    expect(asked).toContain('256-256')
  })

  test('and is wide again when the node answers more', async () => {
    let narrow = true
    const { asked, chain } = await openNode(rpc(-32005, 'too much'), (from, to) => narrow && to > from)
    expect(await chain.deposits(0n, 20n)).toHaveLength(21)
    narrow = false
    const before = asked.length
    const found = await chain.deposits(0n, 7_999n)
    expect(found.map(({ blockNumber }) => Number(blockNumber))).toEqual(Array.from({ length: 8_000 }, (_, at) => at))
    const widths = asked.slice(before).map((range) => {
      const [from = 0, to = 0] = range.split('-').map(Number)
      return to - from + 1
    })
    expect(Math.max(...widths)).toBe(512)
    expect(asked.length - before).toBeLessThan(100)
  })
})

test('an honest node with more deposits than one answer holds is read to its end', async () => {
  const { asked, read } = await openNode(
    () => undefined,
    () => false,
    60,
  )
  expect((await read(299n)).deposits).toHaveLength(300 * 60)
  expect(asked[0]).toBe('0-299')
  expect(asked.length).toBeGreaterThan(2)
}, 60_000)

describe('one block that is too much', () => {
  test.each([refusals[0], refusals[1], refusals[7], refusals[11], refusals[13]].flatMap((one) => (one ? [one] : [])))(
    'is named, with its number: %s',
    async (_, refuse) => {
      const { read } = await openNode(refuse, (from, to) => from <= 7 && to >= 7)
      await expect(read(300n)).rejects.toMatchObject({ code: 'CHAIN_ANSWER_TOO_LARGE', details: { block: '7' } })
    },
    30_000,
  )

  test('is none when the node refuses it for another reason', async () => {
    for (const refuse of [rpc(-32000, 'pruned'), plain(429, 'slow down'), plain(500, '')]) {
      const { read } = await openNode(refuse, () => true)
      await expect(read(300n)).rejects.toMatchObject({ code: 'CHAIN_UNAVAILABLE' })
      server?.closeAllConnections()
      server?.close()
    }
  }, 30_000)
})

test('a node that is away, or takes no more requests, is not asked for less', async () => {
  const { asked, read } = await openNode(plain(429, 'slow down'), () => true)
  await expect(read(300n)).rejects.toMatchObject({ code: 'CHAIN_UNAVAILABLE' })
  expect(new Set(asked)).toEqual(new Set(['0-300']))
})
