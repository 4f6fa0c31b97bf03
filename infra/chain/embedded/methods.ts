/** Methods that change the chain: they are written to the journal before they are executed. */
const writing = new Set([
  'eth_sendRawTransaction',
  'eth_sendTransaction',
  'evm_mine',
  'hardhat_mine',
  'hardhat_setBalance',
  'hardhat_setCode',
  'hardhat_setNonce',
  'hardhat_setStorageAt',
  'hardhat_impersonateAccount',
  'hardhat_stopImpersonatingAccount',
])

/** Methods that take blocks away. */
const reorganising = new Set(['evm_snapshot', 'evm_revert'])

const reading = /^(eth|net|web3|debug)_\w+$/
const needsSocket = new Set(['eth_subscribe', 'eth_unsubscribe'])

/** Returns true for methods that send a transaction. */
export const sendsTransaction = (method: string): boolean =>
  method === 'eth_sendRawTransaction' || method === 'eth_sendTransaction'

/** Returns how the embedded chain treats a method: `write` goes through the journal, `read` does not, and a refusal
 *  holds the reason. A method that may change the chain and is not in the list is refused, because a replay would not
 *  repeat it. */
export const treatmentOf = (
  method: string,
  { allowReorganisations }: { allowReorganisations: boolean },
): 'write' | 'read' | { readonly refused: string } => {
  if (writing.has(method)) return 'write'
  if (reorganising.has(method))
    return allowReorganisations ? 'write' : { refused: `${method} is off: this chain never takes a block back` }
  if (needsSocket.has(method)) return { refused: `${method} needs a WebSocket; poll with eth_getLogs` }
  if (reading.test(method)) return 'read'
  return { refused: `${method} is not offered: its effect would not survive a restart` }
}
