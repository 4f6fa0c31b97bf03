// Requests that are sent a byte at a time.
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Attack, attackerAddress, stillServes, type Target, unless } from './attack.ts'

const dripEveryMs = 200
/** A request must have arrived after 30 seconds, which the gateway checks every 7.5. */
const requestMsMax = 45_000
/** Three times the WebSockets and requests of one address. */
const openPerAddressMax = 900

const startDrip = (target: Target, head: string): Socket => {
  const { hostname, port } = new URL(target.url)
  const socket = connect({ host: hostname, port: Number(port), localAddress: attackerAddress })
  socket.on('error', () => undefined)
  socket.once('connect', () => socket.write(head))
  const timer = setInterval(() => socket.writable && socket.write('a'), dripEveryMs)
  socket.once('close', () => clearInterval(timer))
  socket.resume()
  return socket
}

const start = 'POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
const heads = [
  `${start}Content-Length: 1000000\r\n\r\n{"query":"`,
  `${start}X-Slow: `,
  `${start}Transfer-Encoding: chunked\r\n\r\n186A0\r\n{"query":"`,
]

const drip: Attack = {
  name: '1,200 requests dripped a byte at a time',
  run: async (target) => {
    const count = target.much(1_200, 200)
    const sockets = Array.from({ length: count }, (_, index) => startDrip(target, heads[index % heads.length] ?? start))
    try {
      await delay(2_000)
      const held = sockets.filter((socket) => !socket.destroyed).length
      const complaints = [
        ...unless(held <= openPerAddressMax, `one address holds ${held} connections`),
        ...(await stillServes(target)),
      ]
      if (target.isShort) return complaints
      await delay(requestMsMax)
      const left = sockets.filter((socket) => !socket.destroyed).length
      return [...complaints, ...unless(left === 0, `${left} of ${count} still drip after ${requestMsMax / 1_000} s`)]
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  },
}

export const slowAttacks: readonly Attack[] = [drip]
