import { afterEach, describe, expect, test } from '@jest/globals'
import {
  type AbiEvent,
  encodeAbiParameters,
  encodeEventTopics,
  encodeFunctionResult,
  getAbiItem,
  type Hex,
  keccak256,
  parseAbiParameters,
} from 'viem'
import { marketplace as marketplaceBinding } from '../../contracts/bindings/marketplace.ts'
import { errors, Failure } from '../../domain/errors.ts'
import { type Handle, rpcError } from './json-rpc.ts'
import { type JsonRpcServer, serveJsonRpc } from './json-rpc-server.ts'
import { type Header, hashOfHeader } from './rpc/header.ts'
import { type RpcChainOptions, rpcChain } from './rpc.ts'

const { abi } = marketplaceBinding
const token = '0x5FbDB2315678afecb367f032d93F642f64180aa3'
const marketplace = '0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512'
const payer = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const hex = (value: number | bigint): Hex => `0x${value.toString(16)}`
const wordOf = (value: number): Hex => `0x${value.toString(16).padStart(64, '0')}`

/** Returns the id that the contract gives the deposit of a block. */
const idOf = (block: number): Hex =>
  keccak256(
    encodeAbiParameters(parseAbiParameters('uint256, address, address, uint256, address, uint256'), [
      ...([7n, marketplace, payer, 0n, token, BigInt(block)] as const),
    ]),
  )

/** Makes a deposit whose amount is the number of its block. */
const depositLog = (block: number) => ({
  address: marketplace,
  blockHash: wordOf(block),
  blockNumber: hex(block),
  transactionHash: wordOf(block + 1),
  transactionIndex: '0x0',
  logIndex: '0x0',
  removed: false,
  topics: encodeEventTopics({
    abi: [getAbiItem({ abi, name: 'Deposited' }) as AbiEvent],
    eventName: 'Deposited',
    args: { depositId: idOf(block), payer, token },
  }),
  data: encodeAbiParameters([{ type: 'uint256' }, { type: 'uint256' }], [BigInt(block), 0n]),
})

const zeros = (digits: number): Hex => `0x${'0'.repeat(digits)}`

/** Makes a block with the hash of its header. */
const headerAt = (number: number) => {
  const roots = { stateRoot: wordOf(2), transactionsRoot: wordOf(3), receiptsRoot: wordOf(4), sha3Uncles: wordOf(1) }
  const counts = { difficulty: hex(0), gasLimit: hex(1), gasUsed: hex(0), timestamp: hex(1), number: hex(number) }
  const words = { parentHash: wordOf(5), mixHash: wordOf(6), nonce: zeros(16), logsBloom: zeros(512) }
  const shown: Header = { ...roots, ...counts, ...words, miner: marketplace, extraData: '0x' }
  return { ...shown, hash: hashOfHeader(shown), transactions: [] }
}

/** Starts a node with a deposit in each block up to its head; `rules` change it. */
const node =
  (rules: Readonly<Record<string, (params: readonly unknown[]) => unknown>> = {}): Handle =>
  async (method, params) => {
    const rule = rules[method]
    if (rule) return rule(params)
    if (method === 'eth_chainId') return hex(7)
    if (method === 'eth_getCode') return '0x60'
    if (method === 'eth_call') return encodeFunctionResult({ abi, functionName: 'token', result: token })
    if (method === 'eth_blockNumber') return hex(100)
    if (method === 'eth_getBlockByNumber') return headerAt(90)
    if (method === 'eth_getLogs') {
      const [{ fromBlock, toBlock }] = params as [{ fromBlock: Hex; toBlock: Hex }]
      const from = Number(fromBlock)
      return Array.from({ length: Math.min(100, Number(toBlock)) - from + 1 }, (_, index) => depositLog(from + index))
    }
    throw rpcError(-32601, `no ${method} here`)
  }

let server: JsonRpcServer | undefined
const open = async (handle: Handle, options: Partial<RpcChainOptions> = {}) => {
  server = await serveJsonRpc({ port: 0, handle })
  return rpcChain({
    ...{ rpcUrl: server.url, chainId: 7, token, marketplace, asset: 'USDC/6', confirmations: 5 },
    ...options,
  })
}
const close = async () => {
  await server?.close()
  server = undefined
}
afterEach(close)

const failureOf = (work: Promise<unknown>): Promise<Failure> =>
  work.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: unknown) => {
      if (error instanceof Failure) return error
      throw error
    },
  )

describe('the final height', () => {
  test('is the finality tag where that is lower', async () =>
    expect(await (await open(node())).heights()).toEqual({ head: 100n, final: 90n }))

  test('is the head less the confirmations where that is lower', async () =>
    expect(await (await open(node(), { confirmations: 20 })).heights()).toEqual({ head: 100n, final: 80n }))

  test.each([-32601, -32602])('is the confirmations alone on a chain without the tag (%d)', async (code) => {
    const refuse = () => {
      throw rpcError(code, 'no such tag')
    }
    expect(await (await open(node({ eth_getBlockByNumber: refuse }))).heights()).toEqual({ head: 100n, final: 95n })
  })

  test('is -1 while nothing is final yet, by the tag or by the confirmations', async () => {
    expect((await (await open(node({ eth_getBlockByNumber: () => null }))).heights()).final).toBe(-1n)
    await close()
    expect((await (await open(node({ eth_blockNumber: () => hex(3) }))).heights()).final).toBe(-1n)
  })

  test('is not guessed when the node fails on the tag', async () => {
    const stumble = () => {
      throw rpcError(-32000, 'header not found')
    }
    const { code } = await failureOf((await open(node({ eth_getBlockByNumber: stumble }))).heights())
    expect(code).toBe('CHAIN_UNAVAILABLE')
  })
})

describe('deposits', () => {
  test('of a wide range are requested in parts, each block once', async () => {
    const ranges: string[] = []
    const spy: Handle = async (method, params) => {
      if (method === 'eth_getLogs') {
        const [{ fromBlock, toBlock }] = params as [{ fromBlock: Hex; toBlock: Hex }]
        ranges.push(`${Number(fromBlock)}-${Number(toBlock)}`)
      }
      return node()(method, params, 'guest')
    }
    const chain = await open(spy, { blocksPerRequestMax: 4 })
    const deposits = await chain.deposits(1n, 10n)
    expect(ranges).toEqual(['1-4', '5-8', '9-10'])
    expect(deposits.map(({ amount }) => Number(amount))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(deposits[2]).toEqual({
      depositId: idOf(3),
      payer,
      token,
      amount: 3n,
      transactionHash: wordOf(4),
      blockNumber: 3n,
      blockHash: wordOf(3),
      sequence: 0n,
    })
  })

  test('are found when the node refuses the range as too wide', async () => {
    const narrow: Handle = async (method, params) => {
      if (method === 'eth_getLogs') {
        const [{ fromBlock, toBlock }] = params as [{ fromBlock: Hex; toBlock: Hex }]
        if (Number(toBlock) - Number(fromBlock) > 2) throw rpcError(-32000, 'block range is too wide')
      }
      return node()(method, params, 'guest')
    }
    const deposits = await (await open(narrow)).deposits(1n, 20n)
    expect(deposits.map(({ blockNumber }) => Number(blockNumber))).toEqual(
      Array.from({ length: 20 }, (_, at) => at + 1),
    )
  })

  test('are left out when a reorganisation has removed them', async () => {
    const logs = [depositLog(1), { ...depositLog(2), removed: true }, depositLog(3)]
    const deposits = await (await open(node({ eth_getLogs: () => logs }))).deposits(1n, 3n)
    expect(deposits.map(({ amount }) => amount)).toEqual([1n, 3n])
  })

  test('are a failure, not an empty answer, when the node refuses the request', async () => {
    const refuse = () => {
      throw rpcError(-32000, 'pruned')
    }
    const failure = await failureOf((await open(node({ eth_getLogs: refuse }))).deposits(1n, 3n))
    expect(failure).toMatchObject({ code: 'CHAIN_UNAVAILABLE', details: { question: 'deposits' } })
  })
})

describe('a chain that cannot be used', () => {
  test('because no node listens is unavailable, and usable once one does', async () => {
    const chain = await open(node())
    const port = Number(new URL(chain.description.rpcUrl).port)
    await close()
    const failure = await failureOf(chain.heights())
    expect(failure).toMatchObject({ code: 'CHAIN_UNAVAILABLE', details: { question: 'heights' } })
    expect(failure.cause).toBeInstanceOf(Error)
    expect((await failureOf(chain.deposits(0n, 1n))).code).toBe('CHAIN_UNAVAILABLE')
    server = await serveJsonRpc({ port, handle: node() })
    expect((await chain.heights()).head).toBe(100n)
  })

  test('shows the host of its address in the failure, never the key', async () => {
    const { rpcUrl } = (await open(node({ eth_chainId: () => Promise.reject(rpcError(-32000, 'down')) }))).description
    const options = { chainId: 7, token, marketplace, asset: 'USDC/6', confirmations: 5 } as const
    const failure = await failureOf(rpcChain({ ...options, rpcUrl: `${rpcUrl}/secret-key` }).heights())
    expect(failure.details.host).toBe(new URL(rpcUrl).host)
    expect(failure.message).not.toContain('secret-key')
  })

  test.each([
    ['CHAIN_ID', 'another chain', { eth_chainId: () => hex(8) }],
    ['MARKETPLACE_ADDRESS', 'no contract', { eth_getCode: () => '0x' }],
    ['TOKEN_ADDRESS', 'another token', { eth_call: () => wordOf(1) }],
  ])('names its setting: %s, %s', async (variable, _, rules) => {
    const failure = await failureOf((await open(node(rules))).heights())
    expect(failure).toMatchObject({ code: 'CONFIG_INVALID', details: { variable } })
  })
})

describe('a signature of a contract wallet', () => {
  const check = async (rules: Parameters<typeof node>[0]) =>
    (await open(node({ eth_chainId: () => hex(7), ...rules }))).hasSigned(payer, wordOf(1), '0x00', '192.0.2.1')
  const ending = (code: number, message: string) => (params: readonly unknown[]) => {
    const [{ to }] = params as [{ to?: Hex }]
    if (to) return encodeFunctionResult({ abi, functionName: 'token', result: token })
    throw rpcError(code, message)
  }

  test('is judged by the contract alone', async () => {
    expect(await check({ eth_call: ending(3, 'execution reverted') })).toBe(false)
    await close()
    const failure = await failureOf(check({ eth_call: ending(-32603, 'the node is overloaded') }))
    expect(failure).toMatchObject({ code: 'CHAIN_UNAVAILABLE', details: { question: 'signature' } })
  })

  test.each<[string, unknown]>([
    ['nothing', null],
    ['what is no bytes', { no: 'bytes' }],
    ['too much', '0'.repeat(2_000_000)],
    ['too many values', Array(200_000).fill(0)],
  ])('that is not judged, as the node answers %s, is asked for again by who signs in, and told so', async (_, code) => {
    const failure = await failureOf(check({ eth_getCode: () => code }))
    expect(failure.code).toMatch(/^CHAIN_(UNAVAILABLE|ANSWER_INVALID)$/)
    expect(errors[failure.code].hint).toMatch(/^Repeat the request/)
  })
})

describe('an answer that is no answer', () => {
  const block = headerAt(90)
  test.each<[string, unknown, string]>([
    ['eth_blockNumber', null, 'the answer'],
    ['eth_blockNumber', 12345, 'the answer'],
    ['eth_blockNumber', '-0x1', 'the answer'],
    ['eth_blockNumber', `0x${'f'.repeat(100_000)}`, 'the answer'],
    ['eth_chainId', { a: [] }, 'the answer'],
    ['eth_getBlockByNumber', 7, 'the answer'],
    ['eth_getBlockByNumber', { ...block, logsBloom: null }, 'logsBloom'],
    ['eth_getBlockByNumber', { ...block, stateRoot: 'x' }, 'stateRoot'],
    ['eth_getLogs', [null], '0'],
    ['eth_getLogs', [{ ...depositLog(1), topics: [7] }], '0.topics.0'],
    ['eth_getLogs', {}, 'the answer'],
  ])('is a failure that says what was wrong: %s %j', async (method, answer, at) => {
    const chain = await open(node({ [method]: () => answer }))
    const failure = await failureOf(method === 'eth_getLogs' ? chain.deposits(1n, 3n) : chain.heights())
    expect(failure).toMatchObject({ code: 'CHAIN_ANSWER_INVALID', details: { method, at } })
  })

  test('such as a block whose hash is not that of its header is none, unless headers are not checked', async () => {
    const rules = { eth_getBlockByNumber: () => ({ ...block, parentHash: wordOf(9) }) }
    const failure = await failureOf((await open(node(rules))).heights())
    expect(failure).toMatchObject({ code: 'CHAIN_NODES_DISAGREE', details: { hash: block.hash } })
    await close()
    expect((await (await open(node(rules), { headers: 'unchecked' })).heights()).final).toBe(90n)
  })
})
