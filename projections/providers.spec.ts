import { expect, test } from '@jest/globals'
import { at, rowsOf, stampsOf } from './engine/log.testing.ts'
import { providers } from './providers.ts'

const registered = { type: 'ProviderRegistered', wallet: '0xp', name: 'Acme', registeredAt: at(0) } as const

test('a registered provider', async () =>
  expect(await rowsOf(providers, 'provider', '0xp', registered)).toEqual([
    { id: '0xp', name: 'Acme', registeredAt: at(0), ...stampsOf(0) },
  ]))

test('a renamed provider keeps the rest', async () =>
  expect(await rowsOf(providers, 'provider', '0xp', registered, { type: 'ProviderRenamed', name: 'Apex' })).toEqual([
    { id: '0xp', name: 'Apex', registeredAt: at(0), ...stampsOf(1) },
  ]))
