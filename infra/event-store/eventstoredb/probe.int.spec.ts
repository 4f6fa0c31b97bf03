import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createSecureServer, createServer, type Http2Server } from 'node:http2'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from '@jest/globals'
import { foreignCertificate, localCertificate, testAuthority } from '../../../testing/servers/certificates.ts'
import { parseEventStoreDbAddress } from '../../event-store-address.ts'
import { openEventStoreDb } from '../eventstoredb.ts'
import { whyNeverConnects } from './probe.ts'

const folder = mkdtempSync(join(tmpdir(), 'probe-'))
const authority = join(folder, 'ca.crt')
writeFileSync(authority, testAuthority)
const another = join(folder, 'another.crt')
writeFileSync(another, localCertificate.cert)

const servers: { close(): unknown }[] = []
afterAll(() => {
  for (const server of servers) server.close()
  rmSync(folder, { recursive: true })
})
const listen = async (server: Http2Server | ReturnType<typeof createTcpServer>): Promise<number> => {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}
const plain = () => listen(createServer())
const secure = (certificate = localCertificate) => listen(createSecureServer(certificate))
/** Accepts connections and ends them, as a server that is being started again. */
const ending = () => listen(createTcpServer((socket) => socket.destroy()))
const nobody = async () => {
  const port = await plain()
  servers.pop()?.close()
  return port
}
const ca = (file: string) => `?tlsCAFile=${encodeURIComponent(file)}`

describe('an address that can never work is told from one that may', () => {
  test.each([
    ['TLS against a server without', plain, '', 'add tls=false'],
    ['no TLS against a server with', secure, '?tls=false', 'leave it out'],
    ['an unknown authority', secure, '', 'as tlsCAFile'],
    ['another authority', secure, ca(another), 'not of the authority in tlsCAFile'],
    ['another name', () => secure(foreignCertificate), ca(authority), 'for another name'],
    ['TLS with its authority', secure, ca(authority), undefined],
    ['no TLS without', plain, '?tls=false', undefined],
    ['nobody there', nobody, '', undefined],
    ['nobody there, without TLS', nobody, '?tls=false', undefined],
    ['one that ends each connection', ending, '', undefined],
    ['one that ends each connection, without TLS', ending, '?tls=false', undefined],
  ])('%s', async (_, start, options, expected) => {
    const address = parseEventStoreDbAddress(`esdb://127.0.0.1:${await start()}${options}`)
    const why = address && (await whyNeverConnects(address))
    if (expected === undefined) expect(why).toBeUndefined()
    else expect(why).toContain(expected)
  })

  test('and opening the store says so at once, with the setting', async () => {
    const began = performance.now()
    await expect(openEventStoreDb({ url: `esdb://127.0.0.1:${await plain()}` })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { variable: 'EVENTSTORE_URL', why: expect.stringContaining('tls=false') },
    })
    expect(performance.now() - began).toBeLessThan(20_000)
  })

  test('a name for all nodes is not compared with the names of the nodes', async () => {
    const port = await secure(foreignCertificate)
    const address = parseEventStoreDbAddress(`esdb+discover://127.0.0.1:${port}${ca(authority)}`)
    expect(address && (await whyNeverConnects(address))).toBeUndefined()
  })
})
