import type { RawData, WebSocket } from 'ws'
import { type Details, type ErrorCode, Failure } from '../../domain/errors.ts'
import { parseJson } from '../../infra/system/json.ts'
import { tokenFieldsOf } from '../auth/token.ts'
import { errorBody } from '../error-answers.ts'
import { refuseParameters, sizeOfJson } from '../request-checks.ts'
import { endSocket } from './ending.ts'

/** How many operations one socket may run at once. */
export const operationsPerSocketMax = 100
const operationIdCharactersMax = 100
const messagesPerSecondMax = 100
const messagesAtOnceMax = 300
/** From here on nothing more is read from the socket until its client has taken what was sent. */
const bufferedBytesMax = 1024 * 1024
/** A longer message waits for a turn, and those behind it too; nothing more is read meanwhile. */
const messageAtOnceBytesMax = 16 * 1024
/** Each operation has one answer under way: shorter ones are few enough. */
const uncountedCharactersMax = 4 * 1024
/** A client that leaves this much unread is cut off. It resumes by the position that it saw last. */
const bufferedBytesCut = 24 * 1024 * 1024

/** Close codes of graphql-transport-ws and WebSocket, and 4429 and 4408 of our own kind. */
const closeCodes = { badRequest: 4400, subscriberExists: 4409, tooMany: 4429, tooSlow: 4408 } as const

/** What graphql-ws calls a socket. */
type Transport = {
  readonly protocol: string
  send(data: string): Promise<void>
  close(code?: number, reason?: string): void
  onMessage(listener: (data: string) => Promise<void>): void
}

type Message = { readonly type?: unknown; readonly id?: unknown; readonly payload?: unknown }

/** Connects a WebSocket to graphql-ws within bounds: messages, pings and pongs per second, operations at once, and bytes that the client
 *  has not taken yet. Each operation gets an id of its own, so that one whose id the client uses again at once is still
 *  told apart and ended. The payload of a ping is not repeated.
 *  @param begin takes what an operation of so many bytes in memory needs; undefined when a quota would be exceeded.
 *  @param buffer takes what an answer needs until the client has taken it, or a message until its turn; undefined when a
 *    quota would be exceeded.
 *  @param hasTime returns whether a short message may be read at once; false after many of all sockets.
 *  @param turn resolves when any other message may be read, a short one or a long one. */
export const createTransport = (
  socket: WebSocket,
  {
    begin,
    buffer,
    turn,
    hasTime,
    onError,
  }: {
    readonly begin: (bytes: number) => (() => void) | undefined
    readonly buffer: (bytes: number) => (() => void) | undefined
    readonly turn: (isShort: boolean) => Promise<void>
    readonly hasTime: () => boolean
    readonly onError: (error: unknown) => void
  },
): Transport => {
  /** By the client's id, ours, of the operations that the client still listens to; and the other way round. */
  const ownIds = new Map<string, string>()
  const clientIds = new Map<string, string>()
  let [started, running, waiting] = [0, 0, 0]
  let before: Promise<void> = Promise.resolve()
  const mayReceive = createRate(messagesPerSecondMax, messagesAtOnceMax)
  let handle: (data: string) => Promise<void> = async () => undefined

  const write = (data: string | Buffer): Promise<void> =>
    new Promise((resolve) => {
      if (socket.readyState !== socket.OPEN) return resolve()
      const free = data.length > uncountedCharactersMax ? buffer(data.length) : noop
      if (free === undefined) {
        cutOff()
        return resolve()
      }
      socket.send(data, { binary: false }, () => {
        free()
        readOn()
        resolve()
      })
      if (socket.bufferedAmount > bufferedBytesCut) cutOff()
      else if (socket.bufferedAmount > bufferedBytesMax) socket.pause()
    })
  const readOn = () => {
    if (socket.isPaused && waiting === 0 && socket.bufferedAmount < bufferedBytesMax) socket.resume()
  }
  const cutOff = () => {
    socket.close(closeCodes.tooSlow, 'too much is unread')
    socket.terminate()
  }
  const refuse = (id: string, code: ErrorCode, details?: Details): Promise<void> =>
    write(JSON.stringify({ id, type: 'error', payload: errorBody(code, details).errors }))
  /** Closes the socket for a message that is none, with a reason that states what is taken. */
  const refuseMessage = (takes: string) => socket.close(closeCodes.badRequest, `INPUT_INVALID: takes ${takes}`)

  const run = async (message: Message, id: string, bytes: number): Promise<void> => {
    if (ownIds.has(id)) return socket.close(closeCodes.subscriberExists, `Subscriber for ${id} already exists`)
    const giveBack = running < operationsPerSocketMax ? begin(bytes) : undefined
    if (giveBack === undefined) return refuse(id, 'TOO_MANY_REQUESTS')
    const own = String(started++)
    running += 1
    ownIds.set(id, own)
    clientIds.set(own, id)
    try {
      // Resolves when the operation has ended, a subscription with its last answer.
      await handle(JSON.stringify({ ...message, id: own }))
    } finally {
      running -= 1
      clientIds.delete(own)
      if (ownIds.get(id) === own) ownIds.delete(id)
      giveBack()
    }
  }

  const begun = (message: Message, id: string, bytes: number): Promise<void> | void => {
    try {
      refuseParameters(message.payload)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return refuse(id, error.code, error.details)
    }
    return run(message, id, bytes)
  }

  /** Returns what a message takes in memory; undefined after it has closed the socket. */
  const sizeOf = (text: string): number | undefined => {
    try {
      return sizeOfJson(text, 1)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      refuseMessage(error.details.takes ?? '')
      return undefined
    }
  }

  const receive = async (text: string): Promise<void> => {
    const bytes = sizeOf(text)
    if (bytes === undefined) return
    const message = (parseJson(text) ?? {}) as Message
    const { type, id, payload } = message
    if (type === 'ping') return write('{"type":"pong"}')
    // What comes with the first message is kept as long as the socket: only the token is.
    if (type === 'connection_init') return handle(JSON.stringify({ type, payload: tokenFieldsOf(payload) }))
    if (type === 'pong') return undefined
    if (type !== 'subscribe' && type !== 'complete')
      return refuseMessage('an object with "type": connection_init, ping, pong, subscribe or complete')
    if (typeof id !== 'string' || id === '' || id.length > operationIdCharactersMax)
      return refuseMessage(`"id", a text of 1 to ${operationIdCharactersMax} characters`)
    if (type === 'subscribe') return begun(message, id, bytes)
    const own = ownIds.get(id)
    if (own === undefined) return
    ownIds.delete(id)
    await handle(JSON.stringify({ type, id: own }))
  }

  return {
    protocol: socket.protocol,
    close: (code, reason) => socket.close(code, reason),
    onMessage: (listener) => {
      handle = listener
      const isTooMany = () => {
        if (mayReceive()) return false
        endSocket(socket, closeCodes.tooMany, `TOO_MANY_REQUESTS: at most ${messagesPerSecondMax} messages a second`)
        return true
      }
      socket.on('ping', isTooMany)
      socket.on('pong', isTooMany)
      socket.on('message', (data) => {
        if (isTooMany()) return
        const bytes = bytesOf(data)
        const isShort = bytes <= messageAtOnceBytesMax
        if (waiting === 0 && isShort && hasTime()) {
          receive(String(data)).catch(onError)
          return
        }
        const free = isShort ? noop : buffer(bytes)
        if (free === undefined) return endSocket(socket, closeCodes.tooMany, 'TOO_MANY_REQUESTS: too much is under way')
        waiting += 1
        socket.pause()
        before = before
          .then(() => turn(isShort))
          .then(() => {
            waiting -= 1
            free()
            if (socket.readyState === socket.OPEN) receive(String(data)).catch(onError)
            readOn()
          })
      })
    },
    send: async (data) => {
      // graphql-ws writes the id first.
      const own = /^\{"id":"(\d{1,16})",/.exec(data)
      if (!own) return write(data)
      const [head, number = ''] = own
      const id = clientIds.get(number)
      // The client has completed it, and may use its id for another one.
      if (id === undefined || ownIds.get(id) !== number) return
      const start = `{"id":${JSON.stringify(id)},`
      const rest = data.slice(head.length)
      // A long text is put together where it is sent from, and not once more before.
      await write(rest.length > uncountedCharactersMax ? bytesOfTexts(start, rest) : start + rest)
    },
  }
}

const noop = () => undefined

/** Returns two texts as UTF-8, one after the other. */
const bytesOfTexts = (first: string, second: string): Buffer => {
  const length = Buffer.byteLength(first)
  const bytes = Buffer.allocUnsafeSlow(length + Buffer.byteLength(second))
  bytes.write(first)
  bytes.write(second, length)
  return bytes
}

const bytesOf = (data: RawData): number =>
  Array.isArray(data) ? data.reduce((sum, { byteLength }) => sum + byteLength, 0) : data.byteLength

/** Returns a function that returns true so many times per second on average, and at most so many times at once. */
const createRate = (perSecond: number, atOnce: number) => {
  let [left, at] = [atOnce, performance.now()]
  return (): boolean => {
    const now = performance.now()
    left = Math.min(atOnce, left + ((now - at) / 1000) * perSecond)
    at = now
    if (left < 1) return false
    left -= 1
    return true
  }
}
