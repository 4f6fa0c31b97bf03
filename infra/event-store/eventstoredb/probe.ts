import { readFileSync } from 'node:fs'
import { connect as connectTcp, isIP } from 'node:net'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { EventStoreDbAddress } from '../../event-store-address.ts'

const probeMsMax = 3_000
/** The answer to an HTTP/2 preface begins with a settings frame: three bytes of length, then this type. */
const http2Preface = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
])
const settingsFrame = 4
const frameHeaderBytes = 9

/** `ok`: what was tried worked. `refused` has the code of the error. */
type Probed = { readonly outcome: 'ok' } | { readonly outcome: 'refused'; readonly code: string }

const untrusted: ReadonlySet<string> = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/** Resolves to why an address can never work as it stands, from how its first nodes speak: TLS against a server without
 *  it and the reverse, or a certificate that is not trusted. Resolves to undefined when nothing was found: the server
 *  may be away, or works. The text names the option of the address that mends it. */
export const whyNeverConnects = async (address: EventStoreDbAddress): Promise<string | undefined> => {
  for (const { host, port } of address.hosts.slice(0, nodesMax)) {
    const why = await whyNever(address, host, port)
    if (why !== undefined) return `${host}:${port}: ${why}`
  }
  return undefined
}

const nodesMax = 3

const whyNever = async ({ options, discover }: EventStoreDbAddress, host: string, port: number) => {
  const usesTls = options.get('tls') !== 'false'
  const file = options.get('tlscafile')
  if (!usesTls) {
    const speaksTls = (await tryTls({ host, port, rejectUnauthorized: false })).outcome === 'ok'
    return speaksTls ? 'the server speaks TLS, and the address has tls=false: leave it out' : undefined
  }
  const ca = file === undefined ? {} : { ca: readFileSync(decodeURIComponent(file)) }
  // Behind a name for all nodes, each node shows a certificate of its own name.
  const name = discover ? { checkServerIdentity: () => undefined } : {}
  const tried = await tryTls({ host, port, ...ca, ...name })
  if (tried.outcome === 'ok') return undefined
  if (untrusted.has(tried.code))
    return file === undefined
      ? 'the certificate of the server is of an unknown authority: give the file of its certificate as tlsCAFile'
      : 'the certificate of the server is not of the authority in tlsCAFile'
  if (tried.code === 'CERT_HAS_EXPIRED') return 'the certificate of the server has expired'
  if (tried.code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'the certificate of the server is for another name: use that name in the address'
  return (await speaksWithoutTls(host, port)) ? 'the server speaks no TLS: add tls=false' : undefined
}

const tryTls = (options: ConnectionOptions & { readonly host: string }): Promise<Probed> =>
  new Promise((resolve) => {
    // A certificate names an address without the help of the client, which may send names alone.
    const servername = isIP(options.host) > 0 ? {} : { servername: options.host }
    const socket = connectTls({ ...options, ...servername, ALPNProtocols: ['h2'], timeout: probeMsMax })
    const end = (probed: Probed) => {
      socket.destroy()
      resolve(probed)
    }
    socket.once('secureConnect', () => end({ outcome: 'ok' }))
    socket.once('error', (error: NodeJS.ErrnoException) => end({ outcome: 'refused', code: error.code ?? '' }))
    socket.once('timeout', () => end({ outcome: 'refused', code: 'ETIMEDOUT' }))
  })

const speaksWithoutTls = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connectTcp({ host, port, timeout: probeMsMax })
    let answer = Buffer.alloc(0)
    const end = (speaks: boolean) => {
      socket.destroy()
      resolve(speaks)
    }
    socket.once('connect', () => socket.write(http2Preface))
    socket.on('data', (data) => {
      answer = Buffer.concat([answer, data]).subarray(0, frameHeaderBytes)
      if (answer.length === frameHeaderBytes) end(answer[3] === settingsFrame)
    })
    for (const event of ['error', 'timeout', 'close']) socket.once(event, () => end(false))
  })
