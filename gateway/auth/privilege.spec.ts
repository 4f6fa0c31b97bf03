import { describe, expect, test } from '@jest/globals'
import { privilegeOf, refuseWithoutPrivilege, requireAnalyst } from './privilege.ts'

const privileged = { operators: ['0xop', '0xboth'], analysts: ['0xan', '0xboth'] }

test.each([
  ['0xop', 'operator'],
  ['0xan', 'analyst'],
  ['0xboth', 'operator'],
  ['0xada', 'none'],
  [undefined, 'none'],
] as const)('%s is %s', (wallet, privilege) => expect(privilegeOf(privileged, wallet)).toBe(privilege))

test('where nobody was named, nobody has any', () =>
  expect(privilegeOf({ operators: [], analysts: [] }, '0xop')).toBe('none'))

describe.each([
  ['operator', { none: false, analyst: false, operator: true }],
  ['analyst', { none: false, analyst: true, operator: true }],
] as const)('where %s is needed', (needed, allowed) => {
  test.each(['none', 'analyst', 'operator'] as const)('%s asks', (privilege) =>
    expect(refuseWithoutPrivilege(needed, { wallet: '0xada', privilege })).toEqual(
      allowed[privilege] ? undefined : { refused: 'PRIVILEGE_NEEDED', details: { privilege: needed } },
    ),
  )

  test('a guest is told to sign in', () =>
    expect(refuseWithoutPrivilege(needed, { wallet: undefined, privilege: 'none' })).toMatchObject({
      refused: 'NOT_SIGNED_IN',
    }))
})

test('requireAnalyst throws what would be refused', () => {
  expect(() => requireAnalyst({ wallet: '0xop', privilege: 'operator' })).not.toThrow()
  expect(() => requireAnalyst({ wallet: '0xada', privilege: 'none' })).toThrow(
    expect.objectContaining({ code: 'PRIVILEGE_NEEDED', details: { privilege: 'analyst' } }),
  )
})
