import client from '@eventstore/db-client/dist/Client/parseConnectionString.js'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parseEventStoreDbAddress } from './event-store-address.ts'

type Parsed = {
  hosts: { address: string; port: number }[]
  dnsDiscover: boolean
  defaultCredentials?: { username: string }
}
const { parseConnectionString } = client as unknown as { parseConnectionString: (text: string) => Parsed }

const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,20}$/)
const host = fc.record({ host: fc.oneof(name, fc.ipV4()), port: fc.option(fc.integer({ min: 1, max: 65_535 })) })
const options = fc.subarray(
  ['tls=false', 'tlsVerifyCert=true', 'node_preference=leader', 'keep-alive-interval=10000', 'tlsCAFile=%2Fca.crt'],
  { minLength: 0 },
)
const address = fc.record({
  scheme: fc.constantFrom('esdb', 'esdb+discover'),
  user: fc.option(fc.stringMatching(/^[a-z]{1,8}$/)),
  password: fc.stringMatching(/^[a-zA-Z0-9!%,:/]{1,12}$/),
  hosts: fc.array(host, { minLength: 1, maxLength: 5 }),
  slash: fc.constantFrom('', '/'),
  options,
})

describe('the address of a server', () => {
  test('is read as the client reads it', () =>
    fc.assert(
      fc.property(address, ({ scheme, user, password, hosts, slash, options }) => {
        const credentials = user === null ? '' : `${user}:${encodeURIComponent(password)}@`
        const names = hosts.map(({ host, port }) => (port === null ? host : `${host}:${port}`)).join(',')
        const text = `${scheme}://${credentials}${names}${slash}${options.length > 0 ? `?${options.join('&')}` : ''}`
        const ours = parseEventStoreDbAddress(text)
        expect(parseEventStoreDbAddress(text.replace(/^esdb/, 'kurrentdb'))).toEqual(ours)
        const theirs = parseConnectionString(ours?.forClient ?? '')
        expect(theirs).toEqual(parseConnectionString(text.replace('/?', '?')))
        expect(ours?.hosts).toEqual(theirs.hosts.map(({ address, port }) => ({ host: address, port })))
        expect(ours?.discover).toBe(theirs.dnsDiscover)
        expect(ours?.username).toBe(theirs.defaultCredentials?.username)
      }),
    ))

  test.each([
    '',
    'esdb://',
    'esdb:///',
    'esdb://a,',
    'esdb://a,,b',
    'esdb://a:0',
    'esdb://a:99999',
    'esdb://a:b',
    'esdb://a:1:2',
    'esdb://a b',
    'esdb://[::1]:2113',
    'esdb://a?tls',
    'esdb://a?tls=',
    'esdb://a?tls=false?x=y',
    'http://a',
    'postgres://a/b',
    `esdb://${'a,'.repeat(200)}a`,
    `esdb://${'a'.repeat(20_000)}`,
  ])('is not %j', (text) => expect(parseEventStoreDbAddress(text)).toBeUndefined())
})
