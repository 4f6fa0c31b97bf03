// Requests that are sent without waiting for the answers to those before.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Attack, attackerAddress, stillServes, type Target, unless } from './attack.ts'

const heldMs = 10_000
const requestsEach = 2_000

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
const query = (text: string) => {
  const body = JSON.stringify({ query: text })
  return (
    'POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n' +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  )
}

/** Opens a connection that is kept alive. Resolves to it with its first answer. */
const open = async ({ url }: Target): Promise<Socket> => {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), localAddress: attackerAddress })
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

export const pipelineAttacks: readonly Attack[] = [
  pipeline('240 connections that send 2,000 requests each at once', get('/health'), true),
  pipeline(
    '240 connections that send 2,000 queries each at once',
    query('{ listings(first: 5) { nodes { id } } }'),
    true,
  ),
  pipeline('240 connections that send 2,000 requests each and take no answer', get('/status'), false),
]
