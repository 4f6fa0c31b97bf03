import type { Caller } from '../json-rpc.ts'

/** What the platform and a wallet need, and nothing that makes the chain remember something for the caller (filters,
 *  subscriptions), sign something else than a transaction, or replay one (debug_*). */
const readingForAll = new Set([
  'eth_accounts',
  'eth_blockNumber',
  'eth_call',
  'eth_chainId',
  'eth_estimateGas',
  'eth_feeHistory',
  'eth_gasPrice',
  'eth_getBalance',
  'eth_getBlockByHash',
  'eth_getBlockByNumber',
  'eth_getCode',
  'eth_getLogs',
  'eth_getStorageAt',
  'eth_getTransactionByHash',
  'eth_getTransactionCount',
  'eth_getTransactionReceipt',
  'eth_maxPriorityFeePerGas',
  'eth_syncing',
  'net_version',
  'web3_clientVersion',
])

const sending = new Set(['eth_sendRawTransaction', 'eth_sendTransaction'])

/** Methods that change the chain without a transaction: they could mint, move or undo what is not the caller's. */
const writingForOwner = new Set([
  'evm_mine',
  'hardhat_mine',
  'hardhat_setBalance',
  'hardhat_setCode',
  'hardhat_setNonce',
  'hardhat_setStorageAt',
  'hardhat_impersonateAccount',
  'hardhat_stopImpersonatingAccount',
])

const readingForOwner = new Set(['debug_traceTransaction', 'debug_traceCall'])

/** Methods that take blocks away. */
const reorganising = new Set(['evm_snapshot', 'evm_revert'])

/** Returns true for methods that send a transaction. */
export const sendsTransaction = (method: string): boolean => sending.has(method)

/** Returns how the embedded chain treats a method: `write` goes through the journal, `read` does not, and a refusal
 *  holds the reason. What is in no list is refused to all callers: a replay might not repeat it. */
export const treatmentOf = (
  method: string,
  { caller, allowReorganisations }: { readonly caller: Caller; readonly allowReorganisations: boolean },
): 'write' | 'read' | { readonly refused: string } => {
  if (sending.has(method)) return 'write'
  if (readingForAll.has(method)) return 'read'
  const forOwner = writingForOwner.has(method) || readingForOwner.has(method) || reorganising.has(method)
  if (!forOwner) return { refused: `${method} is not offered by this chain` }
  if (caller !== 'owner') return { refused: `${method} is for the owner of this chain alone` }
  if (reorganising.has(method) && !allowReorganisations)
    return { refused: `${method} is off: this chain never takes a block back` }
  return readingForOwner.has(method) ? 'read' : 'write'
}
