// Clients that ask for the largest answers and do not read them.
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { eventually } from '../eventually.ts'
import { createListing, createRenter } from '../worlds/renter.ts'
import { type Attack, ask, attackerAddress, stillServes, type Target, times, unless } from './attack.ts'

/** The most that a log may answer with, of characters that JSON writes with six each. */
const logBytes = 262_144
const logsPerAnswer = 5
const unreadMs = 15_000
const answeredMsMax = 30_000

type Job = { readonly status: string; readonly log: { readonly nextOffset: number } }

/** Runs a job that prints what takes the most room in an answer. Resolves to its id and the token of its renter. */
const printMuch = async ({ url }: Target): Promise<{ readonly job: string; readonly token: string }> => {
  const listing = await createListing(url, 1, '1')
  const { client, token } = await createRenter(url, 10_000_000n)
  try {
    const request = { listing, gpuCount: 1, hours: 1, maxPricePerGpuHour: '1', idempotencyKey: crypto.randomUUID() }
    const { id: rental } = await client.mutate<{ id: string }>('rentGpu', request, 'id position')
    const command = ['sh', '-c', `head -c ${logBytes} /dev/zero | tr '\\0' '\\1'`]
    const { id: job } = await client.mutate<{ id: string }>(
      'submitJob',
      { rental, command, idempotencyKey: crypto.randomUUID() },
      'id position',
    )
    const query = `query ($id: ID!) { job(id: $id) { status log(offset: ${logBytes - 1}, bytesMax: 10) { nextOffset } } }`
    await eventually('the job has printed', async () => {
      const answer = await ask({ url }, query, { id: job }, { token })
      return (answer.data?.job as Job | undefined)?.log.nextOffset === logBytes
    })
    return { job, token }
  } finally {
    await client.close()
  }
}

const largest = (job: string): string => {
  const logs = Array.from({ length: logsPerAnswer }, (_, at) => `a${at}: log(bytesMax: ${logBytes}) { text }`)
  return `{ job(id: "${job}") { ${logs.join(' ')} } }`
}

/** Asks over HTTP and reads nothing of the answer. */
const askUnread = ({ url }: Target, query: string, token: string, accept: string): Socket => {
  const { hostname, port, host } = new URL(url)
  const body = JSON.stringify({ query })
  const socket = connect({ host: hostname, port: Number(port), localAddress: attackerAddress })
  socket.on('error', () => undefined)
  socket.once('connect', () => {
    socket.pause()
    socket.write(
      `POST /graphql HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\nAccept: ${accept}\r\n` +
        `Authorization: Bearer ${token}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  })
  return socket
}

/** Asks `count` times on one WebSocket and reads nothing after its first message. */
const askSocketUnread = ({ url }: Target, query: string, token: string, count: number): { end(): void } => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    localAddress: attackerAddress,
  })
  socket.on('error', () => undefined)
  socket.once('open', () => socket.send(JSON.stringify({ type: 'connection_init', payload: { token } })))
  socket.once('message', () => {
    socket.pause()
    for (let id = 0; id < count; id++)
      socket.send(JSON.stringify({ type: 'subscribe', id: String(id), payload: { query } }))
  })
  return { end: () => socket.terminate() }
}

/** Keeps clients that do not read for a while. Resolves to what others did not get meanwhile and afterwards. */
const unread = async (
  target: Target,
  start: (query: string, token: string) => { end(): void },
): Promise<readonly string[]> => {
  const { job, token } = await printMuch(target)
  const query = largest(job)
  const [whole] = await times(1, 1, () => ask(target, query, {}, { token }))
  const clients = Array.from({ length: target.much(290, 20) }, () => start(query, token))
  try {
    const began = performance.now()
    const served: string[] = []
    while (served.length === 0 && performance.now() - began < (target.isShort ? 2_000 : unreadMs)) {
      served.push(...(await stillServes(target)))
      await delay(500)
    }
    for (const client of clients) client.end()
    const given = () => ask(target, '{ head }', {}, { token }).then(({ code }) => code === undefined)
    const again = await eventually('its address is answered again', given, answeredMsMax).catch(() => false)
    return [
      ...unless(
        Buffer.byteLength(whole?.text ?? '') > logsPerAnswer * logBytes,
        `the answer is small: ${whole?.code} ${whole?.text.slice(0, 200)}`,
      ),
      ...served,
      ...unless(again, 'the address is not answered after its clients have left'),
    ]
  } finally {
    for (const client of clients) client.end()
  }
}

const overHttp = (accept: string): Attack['run'] => {
  return (target) =>
    unread(target, (query, token) => {
      const socket = askUnread(target, query, token, accept)
      return { end: () => socket.destroy() }
    })
}

export const unreadAttacks: readonly Attack[] = [
  { name: '290 clients that do not read answers of megabytes', run: overHttp('application/json') },
  { name: '290 clients that do not read event streams of megabytes', run: overHttp('text/event-stream') },
  {
    name: '290 WebSockets that do not read four answers of megabytes',
    run: (target) => unread(target, (query, token) => askSocketUnread(target, query, token, 4)),
  },
]
