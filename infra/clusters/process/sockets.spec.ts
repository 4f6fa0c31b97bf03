import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { parseSocket } from './sockets.ts'

const listenersNow = () =>
  ['/proc/net/tcp', '/proc/net/tcp6']
    .flatMap((path) => readFileSync(path, 'utf8').split('\n').map(parseSocket))
    .filter((one) => one?.listens)

test.each(['127.0.0.1', '0.0.0.0', '::1', '::'])(
  'a socket that listens on %s is found by its port, with its user',
  async (host) => {
    const server: Server = createServer().listen(0, host)
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    expect(listenersNow()).toContainEqual(
      expect.objectContaining({ port, uid: process.getuid?.(), inode: expect.stringMatching(/^\d+$/) }),
    )
    server.close()
    await once(server, 'close')
    expect(listenersNow().map((one) => one?.port)).not.toContain(port)
  },
)

test('any other line is none', () => {
  fc.assert(fc.property(fc.string(), (text) => expect(parseSocket(text)).toBe(undefined)))
  const connected =
    '   1: 0100007F:0FA0 0100007F:D431 01 00000000:00000000 00:00000000 00000000  1000        0 1234 1 0'
  const socket = { address: '0100007F', port: 4000, uid: 1000, inode: '1234' }
  expect(parseSocket(connected)).toEqual({ ...socket, listens: false })
  expect(parseSocket(connected.replace(' 01 ', ' 0A '))).toEqual({ ...socket, listens: true })
})
