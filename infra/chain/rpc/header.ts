import { type Hex, keccak256, numberToHex, toRlp } from 'viem'
import { z } from 'zod'

const digits = (count: number) => z.custom<Hex>((value) => typeof value === 'string' && isHex(value, count), 'not hex')
const isHex = (text: string, count: number): boolean => text.length === count + 2 && /^0x[0-9a-f]*$/i.test(text)

export const hash = digits(64)
export const address = digits(40)
/** 256 bits at most. */
export const quantity = z.custom<Hex>(
  (value) => typeof value === 'string' && /^0x[0-9a-f]{1,64}$/i.test(value),
  'not a quantity',
)
export const bytes = z.custom<Hex>(
  (value) => typeof value === 'string' && value.length % 2 === 0 && /^0x[0-9a-f]*$/i.test(value),
  'not bytes',
)

/** A header as a node shows it, in the order in which its fields are hashed (Yellow Paper, section 4.3, and EIP-1559, 4895,
 *  4844, 4788, 7685, 7928, 7843). The fields of later forks may be absent. */
export const headerShape = {
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
  extraData: bytes,
  mixHash: hash,
  nonce: digits(16),
  baseFeePerGas: quantity.nullish(),
  withdrawalsRoot: hash.nullish(),
  blobGasUsed: quantity.nullish(),
  excessBlobGas: quantity.nullish(),
  parentBeaconBlockRoot: hash.nullish(),
  requestsHash: hash.nullish(),
  blockAccessListHash: hash.nullish(),
  slotNumber: quantity.nullish(),
}
const header = z.object(headerShape)
export type Header = z.infer<typeof header>

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
