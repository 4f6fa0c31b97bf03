import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Failure } from '../domain/errors.ts'
import type { Connections } from './connections.ts'

/** What a request has taken of the quotas, until it is answered and its work has ended. */
export type RequestUse = {
  /** Takes more bytes. Returns false when a quota would be exceeded, or the request has ended: none would give them
   *  back. */
  grow(bytes: number): boolean
  /** Begins a part of the request, and returns the function that ends it. */
  work(): () => void
}

export const healthPath = '/health'
/** A shorter answer is not counted: so the refusal for lack of room can be sent. */
const uncountedCharactersMax = 4 * 1024

/** Counts the requests of a server whose plugins are registered: each from its head until its client has taken the
 *  answer and its work has ended, with its body and the text of its answer. Bytes that are sent as a Buffer are not
 *  counted, for all answers share it. Returns the function that finds what a request has taken. */
export const addRequestUses = (
  app: FastifyInstance,
  { quotas }: Connections,
): ((request: FastifyRequest) => RequestUse | undefined) => {
  const uses = new WeakMap<IncomingMessage, RequestUse>()
  // After the hooks of the plugins: they tell a WebSocket, and let pages of other origins read a refusal.
  app.after(() => {
    app.addHook('onRequest', async (request, reply) => {
      // A WebSocket counts from its own handler on.
      if (request.ws) return
      // A probe of whether the process lives is answered also when all requests of others are taken.
      if (request.routeOptions.url === healthPath) return
      // It is closed already: what it took now would never be given back.
      if (reply.raw.destroyed) throw new Failure('TOO_MANY_REQUESTS')
      const giveBack = quotas.take('requests', { address: request.ip })
      if (giveBack === undefined) throw new Failure('TOO_MANY_REQUESTS')
      const use = createRequestUse(giveBack, (bytes) => quotas.take('requestBytes', { address: request.ip }, bytes))
      uses.set(request.raw, use)
      reply.raw.once('close', use.work())
    })
  })
  app.addHook('onSend', async (request, _reply, payload) => {
    const isCounted = typeof payload === 'string' && payload.length > uncountedCharactersMax
    if (isCounted && uses.get(request.raw)?.grow(payload.length) === false) throw new Failure('TOO_MANY_REQUESTS')
  })
  return ({ raw }) => uses.get(raw)
}

/** Holds what a request has taken until each part of it has ended: a client that leaves ends the answer, and not the
 *  work. */
const createRequestUse = (giveBack: () => void, take: (bytes: number) => (() => void) | undefined): RequestUse => {
  const taken = [giveBack]
  let parts = 0
  return {
    grow: (bytes) => {
      if (taken.length === 0) return false
      const more = bytes > 0 ? take(bytes) : noop
      if (more) taken.push(more)
      return more !== undefined
    },
    work: () => {
      parts += 1
      let ended = false
      return () => {
        if (ended) return
        ended = true
        parts -= 1
        if (parts === 0) for (const back of taken.splice(0)) back()
      }
    },
  }
}
const noop = () => undefined
