import { type Hex, keccak256, numberToHex, toRlp } from 'viem'
import { address, bytesUpTo, digits, hash, maybe, quantity } from './forms.ts'

/** What is in it is for the chain to say: names of those who sign blocks, on some. */
const extraBytesMax = 64 * 1024

const firstFields = {
  parentHash: hash,
  sha3Uncles: hash,
  miner: address,
  stateRoot: hash,
  transactionsRoot: hash,
  receiptsRoot: hash,
  logsBloom: digits(512),
  difficulty: quantity,
  number: quantity,
  gasLimit: quantity,
  gasUsed: quantity,
  timestamp: quantity,
  extraData: bytesUpTo(extraBytesMax),
  mixHash: hash,
  nonce: digits(16),
}
const laterFields = {
  baseFeePerGas: maybe(quantity),
  withdrawalsRoot: maybe(hash),
  blobGasUsed: maybe(quantity),
  excessBlobGas: maybe(quantity),
  parentBeaconBlockRoot: maybe(hash),
  requestsHash: maybe(hash),
  blockAccessListHash: maybe(hash),
  slotNumber: maybe(quantity),
}
/** A header as a node shows it, in the order in which its fields are hashed (Yellow Paper, section 4.3, and EIP-1559, 4895,
 *  4844, 4788, 7685, 7928, 7843). The fields of later forks may be absent. */
export const headerShape = { ...firstFields, ...laterFields }
export type Header = { readonly [Name in keyof typeof firstFields]: Hex } & {
  readonly [Name in keyof typeof laterFields]?: Hex | null | undefined
}

const names = Object.keys(headerShape) as (keyof Header)[]

/** The fields that are numbers: they are hashed without leading zeros. */
const numbers: ReadonlySet<string> = new Set([
  ...['difficulty', 'number', 'gasLimit', 'gasUsed', 'timestamp'],
  ...['baseFeePerGas', 'blobGasUsed', 'excessBlobGas', 'slotNumber'],
])

const encoded = (name: string, value: Hex): Hex => {
  if (!numbers.has(name)) return value
  const number = BigInt(value)
  return number === 0n ? '0x' : numberToHex(number)
}

/** Returns the hash of a header: that of its fields, which names the block. */
export const hashOfHeader = (shown: Header): Hex => {
  const fields = names.flatMap((name) => {
    const value = shown[name]
    return value === undefined || value === null ? [] : [encoded(name, value)]
  })
  return keccak256(toRlp(fields))
}
