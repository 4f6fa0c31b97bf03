import { describe, expect, test } from '@jest/globals'
import { spec } from './decider.testing.ts'
import * as provider from './provider.ts'

const { given } = spec(provider)

const register = {
  type: 'RegisterProvider',
  wallet: '0xgrace',
  name: 'Grace',
  registeredAt: '2026-01-01T00:00:00.000Z',
} satisfies provider.Command
const rename = (name: string) => ({ type: 'RenameProvider', name }) as const satisfies provider.Command

const registered = { ...register, type: 'ProviderRegistered' } as const
const renamed = (name: string) => ({ type: 'ProviderRenamed', name }) as const

const nameOf = (length: number) => 'g'.repeat(length)
const invalidName = { name: '1 to 100 characters' }

describe('none', () => {
  describe('RegisterProvider', () => {
    test('makes a provider', () => given().when(register).then(registered))
    test('trims the name', () =>
      given()
        .when({ ...register, name: '  Grace ' })
        .then(registered))
    test.each([nameOf(1), nameOf(100)])('takes the name %s', (name) =>
      given()
        .when({ ...register, name })
        .then({ ...registered, name }),
    )
    test.each(['', '  ', nameOf(101)])('does not take the name "%s"', (name) =>
      given()
        .when({ ...register, name })
        .refuses('INPUT_INVALID', invalidName),
    )
  })
  test('RenameProvider is refused', () => given().when(rename('Ada')).refuses('PROVIDER_NOT_REGISTERED'))
})

describe('registered', () => {
  test('keeps wallet and name', () =>
    expect(given(registered).state).toStrictEqual({ status: 'registered', wallet: '0xgrace', name: 'Grace' }))
  test('RegisterProvider is refused', () => given(registered).when(register).refuses('PROVIDER_ALREADY_REGISTERED'))
  test('RegisterProvider looks at the name first', () =>
    given(registered)
      .when({ ...register, name: '' })
      .refuses('INPUT_INVALID', invalidName))
  describe('RenameProvider', () => {
    test('changes the name, trimmed', () => given(registered).when(rename(' Ada ')).then(renamed('Ada')))
    test('to the same name is nothing new', () => given(registered).when(rename('Grace ')).then())
    test('compares with the latest name', () => given(registered, renamed('Ada')).when(rename('Ada')).then())
    test('needs a name', () => given(registered).when(rename(' ')).refuses('INPUT_INVALID', invalidName))
  })
})

test('a history that could not have happened is called corrupt', () => {
  given().cannotBeFollowedBy(renamed('Ada'))
  given(registered).cannotBeFollowedBy(registered)
})
