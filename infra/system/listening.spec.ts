import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { describe, expect, test } from '@jest/globals'
import { Failure } from '../../domain/errors.ts'
import { keepAddress, type ListenAddress, listenFailureOf, tryListening } from './listening.ts'

const settings = { hostVariable: 'HOST', portVariable: 'PORT' }

const refusalOf = async (address: ListenAddress): Promise<Failure> => {
  const error = await tryListening(address).then(
    () => 'it listens',
    (thrown: unknown) => thrown,
  )
  if (error instanceof Failure) return error
  throw error
}

describe('a host on which nothing can listen is CONFIG_INVALID with its setting', () => {
  test.each([
    ...[
      '999.1.1.1',
      '1.2.3.4.5',
      '192.0.2.1',
      '203.0.113.9',
      '2001:db8::1',
      'no-such-host.invalid',
      'a..b',
      '-',
      ':',
      '1::2::3',
    ],
  ])('%s', async (host) => {
    const { code, details } = await refusalOf({ host, port: 0, ...settings })
    expect({ code, details }).toEqual({
      code: 'CONFIG_INVALID',
      details: { variable: 'HOST', value: host, why: expect.any(String) },
    })
  })
})

test.each(['127.0.0.1', 'localhost', '0.0.0.0'])('%s can be listened on', async (host) => {
  await tryListening({ host, port: 0, ...settings })
})

test.each(['PORT', 'CHAIN_PORT'])(
  'a taken port is PORT_TAKEN with %s, and free once it was tried',
  async (portVariable) => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as AddressInfo
    const address = { host: '127.0.0.1', port, portVariable }
    expect(await refusalOf(address)).toMatchObject({
      code: 'PORT_TAKEN',
      details: { port: String(port), variable: portVariable },
    })
    other.close()
    await once(other, 'close')
    await tryListening(address)
    await tryListening(address)
  },
)

/** The machine of the specs may let its user listen everywhere. */
test.each([
  ['EACCES', 'PORT'],
  ['EPERM', 'PORT'],
  ['EAFNOSUPPORT', 'HOST'],
  ['EAI_AGAIN', 'HOST'],
  ['EAI_FAIL', 'HOST'],
])('%s is CONFIG_INVALID with %s', (code, variable) => {
  const failure = listenFailureOf(Object.assign(new Error(code), { code }), { host: 'h', port: 80, ...settings })
  expect(failure).toMatchObject({ code: 'CONFIG_INVALID', details: { variable } })
})

test('an error of another kind stays what it is', () => {
  const error = Object.assign(new Error('too many files'), { code: 'EMFILE' })
  expect(listenFailureOf(error, { host: 'h', port: 80, ...settings })).toBe(error)
})

test('an address that is kept is taken for others, closes connections, and is handed over without a gap', async () => {
  const free = createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const address = { host: '127.0.0.1', port: (free.address() as AddressInfo).port, ...settings }
  const kept = keepAddress(address)
  await expect(kept.take()).rejects.toMatchObject({ code: 'PORT_TAKEN' })
  free.close()
  await once(free, 'close')
  await kept.take()
  await kept.take()
  expect(await refusalOf(address)).toMatchObject({ code: 'PORT_TAKEN' })
  await once(connect(address.port, address.host).resume(), 'close')
  const server = createServer((socket) => socket.end('served')).listen({ ...address, ...kept.handOver() })
  await once(server, 'listening')
  expect(kept.handOver()).toEqual({})
  const [answer] = await once(connect(address.port, address.host), 'data')
  expect(String(answer)).toBe('served')
  server.close()
  await once(server, 'close')
  await tryListening(address)
})

test('of port 0 nothing is kept', async () => {
  const kept = keepAddress({ host: '127.0.0.1', port: 0, ...settings })
  await kept.take()
  expect(kept.handOver()).toEqual({})
})
