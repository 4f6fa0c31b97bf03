import { expect, test } from '@jest/globals'
import { type Header, hashOfHeader } from './header.ts'

const zeros = (digits: number) => `0x${'0'.repeat(digits)}` as const
const none = '0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421'

/** The first block of Ethereum. */
const genesis = {
  parentHash: zeros(64),
  sha3Uncles: '0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347',
  miner: zeros(40),
  stateRoot: '0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544',
  transactionsRoot: none,
  receiptsRoot: none,
  logsBloom: zeros(512),
  difficulty: '0x400000000',
  number: '0x0',
  gasLimit: '0x1388',
  gasUsed: '0x0',
  timestamp: '0x0',
  extraData: '0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa',
  mixHash: zeros(64),
  nonce: '0x0000000000000042',
} as const satisfies Header

test('the first block of Ethereum has its hash', () => {
  expect(hashOfHeader(genesis)).toBe('0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3')
})

test('each field is in the hash, those of later forks too', () => {
  const counts = { baseFeePerGas: '0x0', blobGasUsed: '0x0', excessBlobGas: '0x0', slotNumber: '0x0' } as const
  const roots = { withdrawalsRoot: none, requestsHash: none, parentBeaconBlockRoot: none } as const
  const later: Header = { ...genesis, ...counts, ...roots, blockAccessListHash: none }
  const changed = Object.entries(later).map(([name, value]) =>
    hashOfHeader({ ...later, [name]: String(value).replace(/.$/, '5') }),
  )
  expect(new Set([...changed, hashOfHeader(later), hashOfHeader(genesis)]).size).toBe(changed.length + 2)
})
