import { describe, expect, test } from '@jest/globals'
import { privilegeOf, refuseWithoutPrivilege, requirePrivilege } from './privilege.ts'

const privileged = {
  operators: ['0xop', '0xall'],
  auditors: ['0xau', '0xtwo', '0xall'],
  analysts: ['0xan', '0xtwo', '0xall'],
}

test.each([
  ['0xop', 'operator'],
  ['0xan', 'analyst'],
  ['0xau', 'auditor'],
  ['0xtwo', 'auditor'],
  ['0xall', 'operator'],
  ['0xada', 'none'],
  [undefined, 'none'],
] as const)('%s is %s', (wallet, privilege) => expect(privilegeOf(privileged, wallet)).toBe(privilege))

test('no wallet has a privilege when none is configured', () =>
  expect(privilegeOf({ operators: [], auditors: [], analysts: [] }, '0xop')).toBe('none'))

describe.each([
  ['operator', { none: false, analyst: false, auditor: false, operator: true }],
  ['auditor', { none: false, analyst: false, auditor: true, operator: true }],
  ['analyst', { none: false, analyst: true, auditor: true, operator: true }],
] as const)('where %s is needed', (needed, allowed) => {
  test.each(['none', 'analyst', 'auditor', 'operator'] as const)('as %s', (privilege) =>
    expect(refuseWithoutPrivilege(needed, { wallet: '0xada', privilege })).toEqual(
      allowed[privilege] ? undefined : { refused: 'PRIVILEGE_NEEDED', details: { privilege: needed } },
    ),
  )

  test('a guest is refused with NOT_SIGNED_IN', () =>
    expect(refuseWithoutPrivilege(needed, { wallet: undefined, privilege: 'none' })).toMatchObject({
      refused: 'NOT_SIGNED_IN',
    }))
})

test('requirePrivilege throws what would be refused', () => {
  expect(() => requirePrivilege('analyst', { wallet: '0xop', privilege: 'operator' })).not.toThrow()
  expect(() => requirePrivilege('analyst', { wallet: '0xada', privilege: 'none' })).toThrow(
    expect.objectContaining({ code: 'PRIVILEGE_NEEDED', details: { privilege: 'analyst' } }),
  )
})
