import { describe, expect, test } from '@jest/globals'
import type { Caller } from '../json-rpc.ts'
import { treatmentOf } from './methods.ts'

const treat = (method: string, caller: Caller = 'guest', allowReorganisations = false) =>
  treatmentOf(method, { caller, allowReorganisations })

describe('the embedded chain', () => {
  test.each(['eth_sendRawTransaction', 'eth_sendTransaction'])('writes %s to the journal', (method) =>
    expect(treat(method)).toBe('write'),
  )
  test.each(['eth_call', 'eth_getLogs', 'net_version', 'web3_clientVersion'])('just answers %s', (method) =>
    expect(treat(method)).toBe('read'),
  )
  test.each(['evm_mine', 'hardhat_setBalance', 'hardhat_impersonateAccount', 'debug_traceTransaction'])(
    'takes %s from its owner alone',
    (method) => {
      expect(treat(method)).toEqual({ refused: expect.stringContaining('owner') })
      expect(['read', 'write']).toContain(treat(method, 'owner'))
    },
  )
  test.each(['hardhat_reset', 'evm_increaseTime', 'evm_setNextBlockTimestamp', 'evm_setAutomine', 'eth_subscribe', ''])(
    'refuses "%s", also to its owner and when blocks may be taken back',
    (method) => expect(treat(method, 'owner', true)).toEqual({ refused: expect.stringContaining(method) }),
  )
  test.each(['eth_newFilter', 'eth_sign', 'personal_sign', 'eth_signTypedData_v4', 'eth_getProof'])(
    'refuses "%s", which no wallet needs here',
    (method) => expect(treat(method, 'owner', true)).toEqual({ refused: expect.stringContaining(method) }),
  )
  test.each(['evm_snapshot', 'evm_revert'])('takes %s only when blocks may be taken back', (method) => {
    expect(treat(method, 'owner')).toEqual({ refused: expect.stringContaining('never takes a block back') })
    expect(treat(method, 'owner', true)).toBe('write')
    expect(treat(method, 'guest', true)).toEqual({ refused: expect.stringContaining('owner') })
  })
})
