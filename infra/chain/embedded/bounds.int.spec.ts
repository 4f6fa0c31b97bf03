import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { encodeFunctionData, type Hex, parseGwei } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { usdToken } from '../../../contracts/bindings/usd-token.ts'
import { eventually } from '../../../testing/eventually.ts'
import { gasBombs } from '../../../testing/gas-bombs.ts'
import { type ChainProcess, startChainProcess } from '../../../testing/programs/chain.ts'
import { chainWallet } from '../../../testing/worlds/chain-wallet.ts'
import { devKeys } from '../dev-keys.ts'
import { gasMax, logBlocksMax } from './bounds.ts'

const account = privateKeyToAccount(devKeys[1])
let folder: string
let running: ChainProcess
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chain-bounds-'))
  running = await startChainProcess({ folder, blockIntervalMs: 20 })
})
afterAll(async () => {
  await running?.stop()
  await rm(folder, { recursive: true, force: true })
})

type Answer = { readonly status: number; readonly result?: unknown; readonly error?: { code: number; message: string } }
const post = async (body: string, headers: Record<string, string> = {}): Promise<Answer & { text: string }> => {
  const response = await fetch(running.embedded.rpcUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  })
  const text = await response.text()
  return { status: response.status, text, ...(text.startsWith('{') ? JSON.parse(text) : {}) }
}
const ask = (method: string, params: readonly unknown[] = [], headers: Record<string, string> = {}) =>
  post(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }), headers)
const asOwner = () => ({ authorization: `Bearer ${running.ownerSecret}` })
const journal = () => readFile(join(folder, 'journal.jsonl'), 'utf8')
const settled = async () => {
  let before = ''
  await eventually('no more blocks come', async () => {
    const now = await journal()
    const same = now === before
    before = now
    await new Promise((resolve) => setTimeout(resolve, 60))
    return same
  })
}
/** Resolves to what no guest may change without a transaction. */
const state = async () => ({
  head: (await ask('eth_getBlockByNumber', ['latest', false])).result,
  balance: (await ask('eth_getBalance', [account.address, 'latest'])).result,
  nonce: (await ask('eth_getTransactionCount', [account.address, 'latest'])).result,
  journal: await journal(),
})
const residentMib = async () => {
  const status = await readFile(`/proc/${running.embedded.pid()}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024
}

/** What a wallet needs, each with a call that works. */
const offered: Record<string, readonly unknown[]> = {
  eth_accounts: [],
  eth_blockNumber: [],
  eth_call: [{ to: account.address }, 'latest'],
  eth_chainId: [],
  eth_estimateGas: [{ from: account.address, to: account.address }],
  eth_feeHistory: ['0x2', 'latest', [50]],
  eth_gasPrice: [],
  eth_getBalance: [account.address, 'latest'],
  eth_getBlockByHash: [`0x${'0'.repeat(64)}`, false],
  eth_getBlockByNumber: ['latest', true],
  eth_getCode: [account.address, 'latest'],
  eth_getLogs: [{ fromBlock: '0x0', toBlock: 'latest' }],
  eth_getStorageAt: [account.address, '0x0', 'latest'],
  eth_getTransactionByHash: [`0x${'0'.repeat(64)}`],
  eth_getTransactionCount: [account.address, 'latest'],
  eth_getTransactionReceipt: [`0x${'0'.repeat(64)}`],
  eth_maxPriorityFeePerGas: [],
  eth_syncing: [],
  net_version: [],
  web3_clientVersion: [],
}

/** What simulators and nodes know besides, and names of nothing. */
const cheats: Record<string, readonly unknown[]> = {
  debug_traceCall: [{ to: account.address }, 'latest'],
  debug_traceTransaction: [`0x${'0'.repeat(64)}`],
  evm_mine: [],
  evm_revert: ['0x1'],
  evm_snapshot: [],
  hardhat_impersonateAccount: [account.address],
  hardhat_mine: ['0x10'],
  hardhat_setBalance: [account.address, '0x1'],
  hardhat_setCode: [account.address, '0x00'],
  hardhat_setNonce: [account.address, '0x100'],
  hardhat_setStorageAt: [account.address, '0x0', `0x${'1'.repeat(64)}`],
  hardhat_stopImpersonatingAccount: [account.address],
}
const refusedToAll = [
  ...[
    'evm_increaseTime',
    'evm_setAutomine',
    'evm_setBlockGasLimit',
    'evm_setIntervalMining',
    'evm_setNextBlockTimestamp',
  ],
  ...['hardhat_dropTransaction', 'hardhat_getAutomine', 'hardhat_metadata', 'hardhat_reset', 'hardhat_setCoinbase'],
  ...[
    'hardhat_setLoggingEnabled',
    'hardhat_setMinGasPrice',
    'hardhat_setNextBlockBaseFeePerGas',
    'hardhat_setPrevRandao',
  ],
  ...['eth_newFilter', 'eth_newBlockFilter', 'eth_newPendingTransactionFilter', 'eth_subscribe', 'eth_getFilterLogs'],
  ...['eth_sign', 'personal_sign', 'eth_signTypedData_v4', 'eth_getProof', 'eth_pendingTransactions', 'eth_coinbase'],
  ...[
    'admin_nodeInfo',
    'anvil_setBalance',
    'miner_start',
    'txpool_content',
    '__proto__',
    'constructor',
    '',
    ' eth_call',
  ],
]

const callers: Record<string, () => Record<string, string>> = {
  'a program': () => ({}),
  'a program that guesses the secret': () => ({ authorization: `Bearer ${'x'.repeat(43)}` }),
  'a web page': () => ({ origin: 'https://evil.example' }),
  'a web page that has the secret': () => ({ origin: 'https://evil.example', ...asOwner() }),
}
const sizes: Record<string, readonly unknown[]> = {
  'usual parameters': [],
  '200 kB more of them': [`0x${'ab'.repeat(100_000)}`],
  '300 kB more of them': [`0x${'ab'.repeat(150_000)}`],
}

describe.each(Object.entries(callers))('%s', (caller, headers) => {
  const isPage = caller.startsWith('a web page')

  test.each(Object.entries(sizes))('with %s gets what is offered, and none of the rest', async (size, more) => {
    await settled()
    const before = await state()
    for (const [method, params] of Object.entries(offered)) {
      const { status, result, error } = await ask(method, [...params, ...more], headers())
      if (isPage) expect([method, status, result]).toEqual([method, 403, undefined])
      else if (size.startsWith('300')) expect([method, status, result]).toEqual([method, 413, undefined])
      else if (more.length === 0) expect([method, status, error]).toEqual([method, 200, undefined])
      else expect([method, status]).toEqual([method, 200])
    }
    for (const [method, params] of [...Object.entries(cheats), ...refusedToAll.map((name) => [name, []] as const)]) {
      const { status, result, error } = await ask(method, [...params, ...more], headers())
      expect([method, result]).toEqual([method, undefined])
      if (isPage) expect([method, status]).toEqual([method, 403])
      else if (!size.startsWith('300')) expect([method, error?.code]).toEqual([method, -32601])
    }
    expect(await state()).toEqual(before)
  })
})

test('the owner gets the cheats, and what nobody gets is refused to the owner too', async () => {
  const mined = await ask('evm_mine', [], asOwner())
  expect(mined.error).toBeUndefined()
  for (const method of refusedToAll)
    expect([method, (await ask(method, [], asOwner())).error?.code]).toEqual([method, -32601])
  for (const method of ['evm_snapshot', 'evm_revert'])
    expect((await ask(method, ['0x1'], asOwner())).error?.code).toBe(-32601)
})

describe('a call', () => {
  const endless = gasBombs['a loop']
  test.each(Object.entries(gasBombs))(
    'of %s is over soon, in bounded memory',
    async (_, data) => {
      const [began, pid] = [performance.now(), running.embedded.pid()]
      for (const gas of [undefined, `0x${(2n ** 63n).toString(16)}`])
        for (const method of ['eth_call', 'eth_estimateGas']) {
          const { error, result } = await ask(method, [{ from: account.address, data, ...(gas && { gas }) }, 'latest'])
          expect(error ?? result).toBeDefined()
        }
      expect(performance.now() - began).toBeLessThan(24_000)
      expect(await residentMib()).toBeLessThan(1_000)
      expect(running.embedded.pid()).toBe(pid)
    },
    30_000,
  )

  test('gets no state but that of the chain', async () => {
    const overrides = { [account.address]: { balance: '0x1' } }
    expect((await ask('eth_call', [{ to: account.address }, 'latest', overrides])).error?.code).toBe(-32602)
  })

  test('leaves the platform its turn, however many guests ask', async () => {
    const flood = Array.from({ length: 90 }, () =>
      ask('eth_call', [{ from: account.address, data: endless }, 'latest']).catch(() => undefined),
    )
    const began = performance.now()
    await running.embedded.chain.heights()
    expect(performance.now() - began).toBeLessThan(10_000)
    const answers = await Promise.all(flood)
    expect(answers.every((answer) => answer === undefined || answer.error !== undefined)).toBe(true)
  })
})

test('logs are returned for so many blocks, and no more', async () => {
  await ask('hardhat_mine', [`0x${(logBlocksMax + 10).toString(16)}`], asOwner())
  const range = (blocks: number) => ask('eth_getLogs', [{ fromBlock: '0x1', toBlock: `0x${blocks.toString(16)}` }])
  expect((await range(logBlocksMax)).error).toBeUndefined()
  expect((await range(logBlocksMax + 1)).error?.code).toBe(-32005)
  expect((await ask('eth_getLogs', [{ fromBlock: 'earliest' }])).error?.code).toBe(-32005)
  const topics = [Array(101).fill(`0x${'0'.repeat(64)}`)]
  expect((await ask('eth_getLogs', [{ fromBlock: 'latest', topics }])).error?.code).toBe(-32602)
  expect(await running.embedded.chain.deposits(0n, BigInt(logBlocksMax) + 5n)).toEqual([])
})

test('a batch of large answers is cut off', async () => {
  const to = `0x${'c0de'.repeat(10)}`
  // Returns 400 kB of memory: PUSH3, PUSH0, RETURN.
  await ask('hardhat_setCode', [to, '0x62061a805ff3'], asOwner())
  const call = { jsonrpc: '2.0', id: 1, method: 'eth_call', params: [{ to }, 'latest'] }
  const { status, text } = await post(JSON.stringify(Array(50).fill(call)))
  expect(status).toBe(200)
  expect(text.length).toBeLessThan(9 * 1024 * 1024)
  expect(text).toContain('The answer is too large')
})

describe('a transaction', () => {
  const signed = async (about: { nonce?: number; gas?: bigint; value?: bigint; data?: Hex }) => {
    const nonce = Number((await ask('eth_getTransactionCount', [account.address, 'latest'])).result)
    return account.signTransaction({
      ...{ chainId: 31337, type: 'eip1559', to: account.address, gas: 21_000n, nonce, value: 1n },
      ...{ maxFeePerGas: parseGwei('10'), maxPriorityFeePerGas: 1n },
      ...about,
    })
  }

  test('that fails before it is in a block leaves nothing in the journal', async () => {
    expect((await ask('eth_sendRawTransaction', [await signed({})])).error).toBeUndefined()
    await settled()
    const before = await state()
    const large = `0x${'00'.repeat(100_000)}` as const
    const wrong: (readonly [string, readonly unknown[]])[] = [
      ['eth_sendRawTransaction', ['0x00']],
      ['eth_sendRawTransaction', [large]],
      ['eth_sendRawTransaction', []],
      ['eth_sendRawTransaction', [await signed({ nonce: 0 })]],
      ['eth_sendRawTransaction', [await signed({ nonce: 9_999 })]],
      ['eth_sendRawTransaction', [await signed({ value: 10n ** 30n })]],
      ['eth_sendRawTransaction', [await signed({ gas: gasMax + 1n })]],
      ['eth_sendRawTransaction', [await signed({ gas: 1n })]],
      ['eth_sendTransaction', [{ from: `0x${'1'.repeat(40)}`, to: account.address, data: large }]],
      ['eth_sendTransaction', [{ from: account.address, value: `0x${(10n ** 30n).toString(16)}` }]],
      ['eth_sendTransaction', ['hello']],
    ]
    for (const [method, params] of wrong) expect(await ask(method, params)).toHaveProperty('error')
    expect(await state()).toEqual(before)
  })

  test('that works is in it, and the same chain comes back after a restart', async () => {
    expect((await ask('eth_sendRawTransaction', [await signed({})])).error).toBeUndefined()
    await settled()
    const before = await state()
    await running.stop()
    running = await startChainProcess({ folder, blockIntervalMs: 20 })
    expect(await state()).toEqual(before)
  })
})

test('a full journal takes no more transactions, is still final, and starts again', async () => {
  const small = await mkdtemp(join(tmpdir(), 'chain-full-'))
  const options = { folder: small, blockIntervalMs: 20, journalLinesMax: 12 }
  let full = await startChainProcess(options)
  try {
    const wallet = chainWallet(full.description, devKeys[1])
    const data = encodeFunctionData({ abi: usdToken.abi, functionName: 'drip', args: [wallet.address, 1n] })
    const send = () =>
      wallet.rpc('eth_sendTransaction', [{ from: wallet.address, to: full.description.token, data }]) as Promise<Hex>
    const hashes: Hex[] = []
    let refused: unknown
    while (refused === undefined && hashes.length < 20)
      await send().then(
        (hash) => hashes.push(hash),
        (error: unknown) => {
          refused = error
        },
      )
    expect(refused).toMatchObject({ code: -32005, message: expect.stringContaining('is full') })
    const last = (await wallet.rpc('eth_getTransactionReceipt', [hashes.at(-1)])) as { blockNumber: Hex }
    const isFinal = async () => (await full.embedded.chain.heights()).final >= BigInt(last.blockNumber)
    await eventually('the last one is final', isFinal)
    const lines = (await readFile(join(small, 'journal.jsonl'), 'utf8')).split('\n').length
    expect(lines).toBeLessThan(12 + 10)
    await full.stop()
    full = await startChainProcess(options)
    expect(await isFinal()).toBe(true)
  } finally {
    await full.stop()
    await rm(small, { recursive: true, force: true })
  }
})
