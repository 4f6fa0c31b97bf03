// What a contract wallet said decides; what a node answers about itself does not.
import { describe, expect, test } from '@jest/globals'
import { BaseError, createPublicClient, http } from 'viem'
import { createContractWallets } from './contract-wallets.ts'

type RpcError = { readonly code: number; readonly message: string; readonly data?: unknown }
type Row = readonly [node: string, code: number, message: string, data?: unknown]

const wallet = '0x5FbDB2315678afecb367f032d93F642f64180aa3'
const reason =
  '0x08c379a0000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000000000000026e6f000000000000000000000000000000000000000000000000000000000000'

/** Resolves to whether the wallet has signed, where a node answers the call so. */
const check = (answer: { readonly result: unknown } | { readonly error: RpcError }, status = 200) => {
  const fetchFn: typeof fetch = async (_, request) => {
    const { id, method } = JSON.parse(String(request?.body))
    if (method !== 'eth_call') return Response.json({ jsonrpc: '2.0', id, result: '0x60' })
    return Response.json({ jsonrpc: '2.0', id, ...answer }, { status })
  }
  const client = createPublicClient({ transport: http('http://node.example', { fetchFn, retryCount: 0 }) })
  return createContractWallets(client)(wallet, reason.slice(0, 66) as `0x${string}`, '0x00', '192.0.2.1')
}

const byContract: readonly Row[] = [
  ['geth', 3, 'execution reverted'],
  ['geth, with a reason', 3, 'execution reverted: no', reason],
  ['geth before 1.15, without data', -32000, 'execution reverted'],
  ['geth', -32000, 'out of gas'],
  ['geth', -32000, 'contract creation code storage out of gas'],
  ['geth', -32000, 'invalid opcode: INVALID'],
  ['geth', -32000, 'invalid opcode: opcode 0xc not defined'],
  ['geth', -32000, 'invalid jump destination'],
  ['geth', -32000, 'stack underflow (0 <=> 1)'],
  ['geth', -32000, 'stack limit reached 1024 (1023)'],
  ['geth', -32000, 'write protection'],
  ['geth', -32000, 'return data out of bounds'],
  ['geth', -32000, 'invalid code: must not begin with 0xef'],
  ['erigon', 3, 'execution reverted', '0x'],
  ['erigon', -32000, 'execution reverted'],
  ['nethermind', -32000, 'execution reverted', reason],
  ['nethermind', -32003, 'out of gas'],
  ['nethermind', -32000, 'OutOfGas'],
  ['nethermind', -32000, 'BadInstruction'],
  ['nethermind before 1.31', -32015, 'VM execution error.', 'revert'],
  ['OpenEthereum', -32015, 'VM execution error.', `Reverted ${reason}`],
  ['OpenEthereum', -32015, 'VM execution error.', 'Bad instruction fe'],
  ['besu', -32000, 'Execution reverted', reason],
  ['besu', -32000, 'Execution reverted: no', reason],
  ['besu', -32000, 'Execution halted: Out of gas'],
  ['reth', 3, 'execution reverted: no', reason],
  ['reth', -32003, 'out of gas: gas required exceeds: 1000000'],
  ['reth', -32003, 'EVM error: OpcodeNotFound'],
  ['anvil', 3, 'execution reverted: no', reason],
  ['anvil', -32603, 'EVM error InvalidFEOpcode'],
  ['anvil', -32003, 'Out of gas: gas required exceeds allowance: 1000000'],
  [
    'hardhat 2',
    -32603,
    "Error: VM Exception while processing transaction: reverted with reason string 'no'",
    { message: 'no', data: reason },
  ],
  ['hardhat 2', -32603, 'Error: Transaction reverted without a reason string', { message: 'no', data: '0x' }],
  ['hardhat 3', -32603, 'Internal error', { message: 'Internal error', data: reason }],
  ['hardhat 3.2', 3, 'execution reverted: no', reason],
  ['ganache', -32000, 'VM Exception while processing transaction: revert', { stack: 'RuntimeError' }],
  ['a relay of Hedera', -32008, '[Request ID: 1] execution reverted: CONTRACT_REVERT_EXECUTED', reason],
  ['a node with words of its own', -32000, 'the call failed', reason],
]

const byNode: readonly Row[] = [
  ['a proxy', -32603, 'upstream node is overloaded, try again'],
  ['any, by JSON-RPC', -32603, 'Internal error'],
  ['any, by JSON-RPC', -32603, 'Internal JSON-RPC error.', { message: 'Internal error' }],
  ['besu', -32603, 'Internal error', '0x'],
  ['geth', -32000, 'header not found'],
  ['geth', -32000, 'missing trie node 0ab1 (path ) state is not available'],
  ['geth', -32000, 'execution aborted (timeout = 5s)'],
  ['geth', -32002, 'request timed out'],
  ['geth', -32003, 'response too large'],
  ['geth', -32601, 'the method eth_call does not exist/is not available'],
  ['geth', -32000, 'err: max fee per gas less than block base fee'],
  ['erigon', -32000, 'server is overloaded'],
  ['erigon', -32000, 'EOF'],
  ['nethermind', -32001, 'No state available for block 0x0a'],
  ['nethermind', -32016, 'Timeout'],
  ['nethermind', -32005, 'Too many requests'],
  ['besu', -32000, 'World state unavailable'],
  ['besu', -32000, 'Block not found'],
  ['reth', -32001, 'block not found: latest'],
  ['reth', -32603, 'rate limit exceeded'],
  ['anvil', -32603, 'EVM error FatalExternalError'],
  ['anvil, of a fork', -32603, 'failed to get storage: error sending request', 'timeout'],
  ['hardhat, of a fork', -32603, 'Cannot connect to the network', { message: 'no', txHash: null }],
  ['Infura', -32005, 'daily request count exceeded, request rate limited'],
  ['Alchemy', 429, 'Your app has exceeded its compute units per second capacity'],
  ['QuickNode', -32007, '50/second request limit reached'],
  ['Cloudflare', -32046, 'Cannot fulfill request'],
  ['any, with much text', -32603, `${'x'.repeat(5_000)} out of gas`],
  ['a liar', -32603, ''],
]

// Jest would give a row that is shorter than the parameters a callback.
describe('an error of a call', () => {
  test.each(byContract)('decides where the contract gave it: %s, %d %s', async (...[, code, message, data]) => {
    expect(await check({ error: { code, message, data } })).toBe(false)
    expect(await check({ error: { code, message, data } }, 500)).toBe(false)
  })

  test.each(byNode)('decides nothing where the node gave it: %s, %d %s', async (...[, code, message, data]) => {
    await expect(check({ error: { code, message, data } })).rejects.toBeInstanceOf(BaseError)
    await expect(check({ error: { code, message, data } }, 500)).rejects.toBeInstanceOf(BaseError)
  })
})

test('a result decides', async () => {
  expect(await check({ result: '0x01' })).toBe(true)
  for (const result of ['0x00', '0x', reason]) expect(await check({ result })).toBe(false)
})
