import { describe, expect, test } from '@jest/globals'
import { treatmentOf } from './methods.ts'

const treat = (method: string, allowReorganisations = false) => treatmentOf(method, { allowReorganisations })

describe('the embedded chain', () => {
  test.each(['eth_sendRawTransaction', 'eth_sendTransaction', 'evm_mine', 'hardhat_setBalance'])(
    'writes %s to the journal',
    (method) => expect(treat(method)).toBe('write'),
  )
  test.each(['eth_call', 'eth_getLogs', 'net_version', 'web3_clientVersion', 'debug_traceTransaction'])(
    'just answers %s',
    (method) => expect(treat(method)).toBe('read'),
  )
  test.each(['hardhat_reset', 'evm_increaseTime', 'evm_setNextBlockTimestamp', 'evm_setAutomine', 'eth_subscribe', ''])(
    'refuses "%s", also when blocks may be taken back',
    (method) => expect(treat(method, true)).toEqual({ refused: expect.stringContaining(method) }),
  )
  test.each(['evm_snapshot', 'evm_revert'])('takes %s only when blocks may be taken back', (method) => {
    expect(treat(method)).toEqual({ refused: expect.stringContaining('never takes a block back') })
    expect(treat(method, true)).toBe('write')
  })
})
