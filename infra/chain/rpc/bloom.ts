import { type Hex, hexToBytes, keccak256 } from 'viem'

/** The filter of logs in the header of a block (Yellow Paper, section 4.3.1): each log sets three of its 2,048 bits for
 *  its address and for each topic. What is in the block is in the filter; the reverse may be chance. */
export type Bloom = Uint8Array

const bloomBytes = 256

/** Returns the filter of a header. */
export const bloomOf = (text: Hex): Bloom => hexToBytes(text, { size: bloomBytes })

const bitsOf = (value: Hex): number[] => {
  const hash = hexToBytes(keccak256(value))
  return [0, 2, 4].map((at) => (((hash[at] ?? 0) << 8) | (hash[at + 1] ?? 0)) & 2047)
}

/** Returns true when all of the values may be in the block. */
export const mayHold = (bloom: Bloom, values: readonly Hex[]): boolean =>
  values.every((value) =>
    bitsOf(value).every((bit) => ((bloom[bloomBytes - 1 - (bit >> 3)] ?? 0) & (1 << (bit & 7))) !== 0),
  )

/** Returns the filter of these logs. */
export const bloomOfLogs = (logs: readonly { readonly address: Hex; readonly topics: readonly Hex[] }[]): Bloom => {
  const bloom = new Uint8Array(bloomBytes)
  for (const { address, topics } of logs)
    for (const value of [address, ...topics])
      for (const bit of bitsOf(value)) {
        const byte = bloomBytes - 1 - (bit >> 3)
        bloom[byte] = (bloom[byte] ?? 0) | (1 << (bit & 7))
      }
  return bloom
}

/** Returns true when both filters are the same. */
export const sameBloom = (a: Bloom, b: Bloom): boolean => Buffer.compare(a, b) === 0
