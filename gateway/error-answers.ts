// Answers to what fails before GraphQL executes it. Each has a code and a hint, whatever was sent.
import { maxHeaderSize, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { WebSocketServer } from 'ws'
import { newId } from '../commands/ids.ts'
import { type Details, type ErrorCode, errors, Failure } from '../domain/errors.ts'
import { errorCode } from '../infra/system/errors.ts'
import type { Log } from '../infra/telemetry.ts'
import { httpStatusOf } from './http-status.ts'
import { originFormOf } from './request-checks.ts'
import { shortDetails } from './shortened.ts'

/** An answer with an error, before it is written. */
export type ErrorAnswer = { readonly status: number; readonly code: ErrorCode; readonly details: Details }

/** What is taken instead, by the code that fastify gives an error. */
const takes: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'a body of the type application/json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'an object as JSON, with "query"',
  FST_ERR_CTP_INVALID_JSON_BODY: 'an object as JSON, with "query"',
  FST_ERR_BAD_URL: 'a path such as /graphql',
  FST_ERR_MAX_PARAM_LENGTH: 'a path such as /graphql',
}

/** Returns an error that fastify answers with this status. */
export const withStatus = (statusCode: number, message: string, more: Details = {}): Error =>
  Object.assign(new Error(message), { statusCode, details: more })

const detailsIn = (error: Error): Details => ('details' in error ? (error.details as Details) : {})

/** Returns the answer to a request that fails. Logs an unexpected error under a correlation id. */
export const errorAnswerTo = (error: unknown, log: Log): ErrorAnswer => {
  if (error instanceof Failure) return { status: httpStatusOf(error.code), code: error.code, details: error.details }
  const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500
  if (error instanceof Error && status < 500) {
    const instead = takes[String(errorCode(error))]
    const details = { request: error.message, ...(instead !== undefined && { takes: instead }), ...detailsIn(error) }
    return { status, code: 'INPUT_INVALID', details }
  }
  const correlationId = newId()
  if (errorCode(error) === 'ERR_STREAM_PREMATURE_CLOSE') log.debug({ err: error }, 'a client left before its answer')
  else log.error({ err: error, correlationId }, 'an unexpected error')
  return { status: 500, code: 'INTERNAL', details: { correlationId } }
}

/** Returns the body of an answer, as GraphQL writes an error. */
export const errorBody = (code: ErrorCode, details: Details = {}) => {
  const { message, hint } = errors[code]
  return { errors: [{ message, extensions: { code, hint, details: shortDetails(details) } }] }
}

/** The headers of an answer with an error that fastify does not write: a page of another origin may read it as well. */
export const errorHeaders = {
  'access-control-allow-origin': '*',
  'content-type': 'application/json; charset=utf-8',
} as const

/** Connections with an answer that nothing can follow, from before the request was read: what is refused of the rest of it
 *  gets none. */
const answered = new WeakSet<Duplex>()

/** Writes a whole answer to a connection that no handler has, and ends it. */
const endWith = (socket: Duplex, { status, code, details }: ErrorAnswer, headers: readonly string[] = []): void => {
  // Node has taken its own handler away, and without one an error ends the process: the client may have left.
  socket.on('error', () => socket.destroy())
  if (!socket.writable) {
    socket.destroy()
    return
  }
  const body = JSON.stringify(errorBody(code, details))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...Object.entries(errorHeaders).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    ...headers,
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  ;(socket as Socket).destroySoon()
}

/** Returns the answer to what the HTTP parser refuses, or what does not come in time. */
const answerToParser = (error: Error, requestMsMax: number): ErrorAnswer => {
  const answer = (status: number, request: string, instead: string): ErrorAnswer => ({
    status,
    code: 'INPUT_INVALID',
    details: { request, takes: instead },
  })
  const code = errorCode(error)
  if (code === 'HPE_HEADER_OVERFLOW') return answer(431, 'its head is too long', `a head of ${maxHeaderSize} bytes`)
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT')
    return answer(408, 'it has not come in time', `a whole request within ${requestMsMax / 1000} seconds`)
  return answer(400, error.message, 'a request of HTTP/1.1, each header with a value that HTTP allows')
}

/** Makes the handler of connections whose bytes the HTTP parser refuses.
 *  @param isAnswering returns whether a part of an answer was sent that is not whole: then nothing can follow. */
export const createClientErrorHandler =
  (requestMsMax: number, isAnswering: (socket: Duplex) => boolean) =>
  (error: Error, socket: Duplex): void => {
    if (errorCode(error) === 'ECONNRESET' || isAnswering(socket)) socket.destroy()
    else if (!answered.has(socket)) endWith(socket, answerToParser(error, requestMsMax))
  }

/** Takes requests whose URL is a whole one, as for a proxy, and answers what Node and the WebSocket server would end
 *  without a code: other expectations, tunnels, and handshakes that are none. */
export const answerOddRequests = (
  server: Server,
  webSocketServer: WebSocketServer,
  isAnswering: (socket: Duplex) => boolean,
): void => {
  // Before the router, and what it keeps of the URL.
  server.prependListener('request', (request) => {
    request.url = originFormOf(request.url ?? '/')
  })
  server.on('checkExpectation', ({ headers, socket }, response: ServerResponse) => {
    answered.add(socket)
    const details = { expect: headers.expect ?? '', takes: '100-continue, or no Expect at all' }
    const body = JSON.stringify(errorBody('INPUT_INVALID', details))
    const length = { 'content-length': Buffer.byteLength(body) }
    response.writeHead(417, { ...errorHeaders, ...length, connection: 'close' }).end(body)
  })
  server.on('connect', ({ method, url }, socket) => {
    if (isAnswering(socket)) socket.destroy()
    else endWith(socket, { status: 404, code: 'ROUTE_UNKNOWN', details: { method: method ?? '', path: url ?? '' } })
  })
  webSocketServer.on('wsClientError', ({ message }, socket) => {
    const details = { request: message, takes: 'the handshake of a WebSocket, version 13' }
    endWith(socket, { status: 400, code: 'INPUT_INVALID', details }, ['sec-websocket-version: 13'])
  })
}
