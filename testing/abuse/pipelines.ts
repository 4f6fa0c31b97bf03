// Requests that are sent without waiting for the answers to those before.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Attack, attackerAddress, bystanderAddress, stillServes, type Target, unless } from './attack.ts'

const heldMs = 10_000
const requestsEach = 2_000
/** How long a new connection may wait: Node accepts one after the other. */
const newConnectionMsMax = 500

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
const query = (text: string) => {
  const body = JSON.stringify({ query: text })
  return (
    'POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  )
}

/** Opens a connection that is kept alive. Resolves to it with its first answer. */
const open = async ({ url }: Target, from = attackerAddress): Promise<Socket> => {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), localAddress: from })
  socket.on('error', () => undefined)
  socket.write(get('/health'))
  await once(socket, 'data')
  return socket
}

/** Keeps connections, has each send `request` again and again at once, and asks for the market meanwhile. */
const pipeline = (name: string, request: string, takesAnswers: boolean): Attack => ({
  name,
  run: async (target) => {
    const sockets = await Promise.all(Array.from({ length: target.much(240, 12) }, () => open(target)))
    try {
      const bytes = Buffer.from(request.repeat(target.much(requestsEach, 200)))
      let answered = 0
      for (const socket of sockets) {
        if (takesAnswers) socket.on('data', (data) => (answered += data.length))
        else socket.pause()
        socket.write(bytes)
      }
      const complaints: string[] = []
      const began = performance.now()
      while (complaints.length === 0 && performance.now() - began < (target.isShort ? 1_000 : heldMs)) {
        await delay(500)
        complaints.push(...(await stillServes(target)))
      }
      return [...complaints, ...unless(!takesAnswers || answered > 0, 'nothing was answered')]
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  },
})

/** Opens connections again and again that send hard documents: Node accepts one each time that its loop goes round. */
const crowd: Attack = {
  name: '240 connections at once, again and again, that send 8 hard documents each',
  run: async (target) => {
    const { hostname, port } = new URL(target.url)
    const complaints: string[] = []
    for (let round = 0; round < target.much(8, 1); round += 1) {
      const sockets = Array.from({ length: target.much(240, 12) }, (_, index) => {
        const socket = connect({ host: hostname, port: Number(port), localAddress: attackerAddress })
        const fields = ['id', 'region', 'freeGpus'].map((field) => `${field} `.repeat(240)).join('')
        const document = `query a${round}_${index} { listings(first: 1) { nodes { ${fields} } } }`
        socket.on('error', () => undefined)
        socket.resume()
        socket.write(query(document).repeat(8))
        return socket
      })
      // On a connection of its own: others are answered on one that they have.
      const began = performance.now()
      const other = await open(target, bystanderAddress)
      const ms = Math.round(performance.now() - began)
      other.destroy()
      complaints.push(
        ...unless(target.isShort || ms <= newConnectionMsMax, `/health took ${ms} ms on a new connection`),
      )
      await delay(1_000)
      complaints.push(...(await stillServes(target)))
      for (const socket of sockets) socket.destroy()
    }
    return complaints
  },
}

export const pipelineAttacks: readonly Attack[] = [
  crowd,
  pipeline('240 connections that send 2,000 requests each at once', get('/health'), true),
  pipeline(
    '240 connections that send 2,000 queries each at once',
    query('{ listings(first: 5) { nodes { id } } }'),
    true,
  ),
  pipeline('240 connections that send 2,000 requests each and take no answer', get('/status'), false),
]
