// Messages and bodies in the smallest pieces, and in ones that never end.
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Attack, attackerAddress, bystanderAddress, stillServes, type Target, unless } from './attack.ts'
import { send } from './http.ts'

const heldMs = 15_000
const kibibyte = 1024
const [text, goesOn, pong] = [0x01, 0x00, 0x8a]

/** Writes a frame as clients do, with a mask of zeros; `first` has its kind and whether it is the last. */
const frame = (first: number, length: number): Buffer => {
  const size =
    length < 126 ? [0x80 | length] : [0x80 | 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 255, length & 255]
  return Buffer.concat([Buffer.from([first, ...size, 0, 0, 0, 0]), Buffer.alloc(length, 97)])
}

/** Writes `head`, and with the first answer, or at once, the same bytes again and again. */
const pour = (
  { url }: Target,
  head: string,
  { first, bytes, count, waits }: { first: Buffer; bytes: Buffer; count: number; waits: boolean },
): Socket => {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), localAddress: attackerAddress })
  socket.on('error', () => undefined)
  let left = count
  const write = () => {
    while (left-- > 0 && socket.writable)
      if (!socket.write(bytes)) {
        socket.once('drain', write)
        return
      }
  }
  const begin = () => {
    socket.write(first)
    write()
  }
  socket.once('connect', () => {
    socket.write(head)
    if (waits) socket.once('data', begin)
    else begin()
  })
  socket.resume()
  return socket
}

const upgrade = [
  'GET /graphql HTTP/1.1',
  'Host: localhost',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Protocol: graphql-transport-ws',
  '\r\n',
].join('\r\n')
const chunked = (method: string, path: string, type: string) =>
  `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`

/** Keeps clients for a while. Resolves to what others did not get meanwhile. */
const hold = async (target: Target, sockets: readonly Socket[]): Promise<readonly string[]> => {
  const began = performance.now()
  try {
    const complaints: string[] = []
    while (complaints.length === 0 && performance.now() - began < (target.isShort ? 1_000 : heldMs)) {
      await delay(500)
      complaints.push(...(await stillServes(target)))
    }
    return complaints
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

const pour100Mib = 100 * kibibyte * kibibyte

const socketAttack = (name: string, clients: number, bytes: Buffer, clientBytes: number): Attack => ({
  name,
  run: async (target) => {
    const count = Math.ceil(target.much(clientBytes) / bytes.length)
    const part = { first: frame(text, 1), bytes, count, waits: true }
    const sockets = Array.from({ length: target.much(clients, 4) }, () => pour(target, upgrade, part))
    const served = await hold(target, sockets)
    return [...served, ...unless(count > 0, 'nothing was sent')]
  },
})

const oneByteAmongPongs = Buffer.concat([frame(goesOn, 1), ...Array.from({ length: 220 }, () => frame(pong, 125))])

const bodies: Attack = {
  name: '240 bodies in chunks of a byte, at every route',
  run: async (target) => {
    const heads = ['GET', 'POST', 'PUT'].flatMap((method) =>
      ['/graphql', '/graphql?query={head}', '/health', '/status', '/metrics', '/none'].flatMap((path) =>
        ['application/json', 'text/plain'].map((type) => chunked(method, path, type)),
      ),
    )
    const part = {
      first: Buffer.alloc(0),
      bytes: Buffer.from('1\r\na\r\n'.repeat(10_000)),
      count: target.much(100),
      waits: false,
    }
    return hold(
      target,
      Array.from({ length: target.much(240, 36) }, (_, index) => pour(target, heads[index % heads.length] ?? '', part)),
    )
  },
}

const pages: Attack = {
  name: '290 clients that do not read a script 20 times each',
  run: async (target) => {
    const ask = (path: string, accept: string) =>
      send({ url: `${target.url}${path}`, headers: { accept }, from: bystanderAddress })
    const { text: page } = await ask('/graphql', 'text/html')
    const paths = [...page.matchAll(/"(\/graphql\/page\/[^"]+)"/g)].map(([, path = '']) => path)
    const files = await Promise.all(paths.map(async (path) => ({ path, length: (await ask(path, '*/*')).text.length })))
    const [largest] = files.sort((one, other) => other.length - one.length)
    if (largest === undefined) return ['the page names no file']
    const get = `GET ${largest.path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    const part = { first: Buffer.alloc(0), bytes: Buffer.from(get), count: 20, waits: false }
    const sockets = Array.from({ length: target.much(290, 20) }, () => pour(target, get, part).pause())
    return hold(target, sockets)
  },
}

export const pieceAttacks: readonly Attack[] = [
  socketAttack('WebSocket fragments of a byte among 100 MiB of pongs', 4, oneByteAmongPongs, pour100Mib),
  socketAttack('290 WebSocket messages of 1 MB that never end', 290, frame(goesOn, 65_000), 15 * 65_000),
  socketAttack('290 WebSocket messages in fragments of a byte', 290, frame(goesOn, 1), 20_000),
  bodies,
  pages,
]
