import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** So many requests of one connection may be under way. Further ones are not read until some were answered. */
export const requestsPerConnectionMax = 16
/** The HTTP parser gets at most this much of a connection at once. */
export const sliceBytesMax = 4 * 1024
/** So many requests are parsed without a turn each time that the loop goes round; a slice counts as one at least. */
export const requestsAtOnceMax = 32
/** The same in a round in which a connection came: Node accepts one each time, and others wait for the next. */
const requestsBesideArrivalsMax = 4
/** Each request has one, after its head. */
const endOfHead = '\r\n\r\n'

const none: ReadonlySet<ServerResponse> = new Set()

type Slicing = {
  /** Counts a request, until its response is closed. */
  begin(response: ServerResponse): void
  /** The responses to its requests that are under way. */
  readonly open: ReadonlySet<ServerResponse>
  /** Leaves the connection to others, with what was not parsed. */
  stop(): void
}

/** Gives the parser of an HTTP server what each connection sends in slices, so that the requests in one piece of up to
 *  64 KiB, which the parser would dispatch at once, are work for many turns. A connection waits with its next slice for
 *  the answers to its requests, and what was read of one that has ended is dropped.
 *
 *  The rest of a piece stays in the buffer of its socket. So Node may pause and resume the socket for reasons of its
 *  own, its end comes after all that was sent, and an upgrade takes over what follows it.
 *
 *  The responses of a connection that has ended are closed, also those that waited for one before: Node closes none once
 *  it has left the connection, as for CONNECT. So all that a request uses may be given back when its response is closed.
 *  @param server has had no connection yet.
 *  @param turn resolves when a slice of one more connection of an address may be parsed.
 *  @returns the responses to the requests of a connection that are under way. */
export const sliceConnections = (
  server: Server,
  turn: (address: string) => Promise<void>,
): ((socket: object) => ReadonlySet<ServerResponse>) => {
  const connections = new WeakMap<object, Slicing>()
  let parsed = 0
  let atOnceMax = requestsAtOnceMax
  const hasTime = (count: number): boolean => {
    if (parsed === 0)
      setImmediate(() => {
        parsed = 0
        atOnceMax = requestsAtOnceMax
      })
    parsed += count
    return parsed <= atOnceMax
  }
  server.on('connection', (socket: Socket) => {
    atOnceMax = requestsBesideArrivalsMax
    if (!socket.destroyed) connections.set(socket, sliceConnection(socket, { turn, hasTime }))
  })
  server.on('request', ({ socket }, response) => connections.get(socket)?.begin(response))
  server.prependListener('upgrade', (_request, socket) => connections.get(socket)?.stop())
  return (socket) => connections.get(socket)?.open ?? none
}

const sliceConnection = (
  socket: Socket,
  {
    turn,
    hasTime,
  }: { readonly turn: (address: string) => Promise<void>; readonly hasTime: (requests: number) => boolean },
): Slicing => {
  const address = socket.remoteAddress ?? ''
  // That of the server: it gives the data to the parser, and handles an upgrade and what the parser refuses.
  const parsers = socket.listeners('data') as ((data: Buffer) => void)[]
  const open = new Set<ServerResponse>()
  let isWaiting = false
  let hasTurn = false
  let isOver = false
  /** Whether Node would read on: it pauses, as it parses, for a body or for answers that are not taken. */
  let isWanted = true

  /** Returns how many heads a slice may end. One more may begin with it, where the slice starts within such an end. */
  const room = (): number => requestsPerConnectionMax - 1 - open.size
  const wait = () => {
    socket.pause()
    if (isWaiting || room() < 1) return
    isWaiting = true
    turn(address).then(readSlice)
  }
  const readSlice = () => {
    isWaiting = false
    if (socket.destroyed || !isWanted) return
    hasTurn = true
    socket.resume()
    socket.read(Math.min(sliceBytesMax, socket.readableLength))
    hasTurn = false
  }
  const take = (data: Buffer) => {
    if (socket.destroyed || !socket.writable) return
    const { slice, heads } = sliceOf(data, room())
    if (room() < 1 || (!hasTurn && (isWaiting || !hasTime(Math.max(1, heads))))) {
      isWanted = true
      socket.pause()
      socket.unshift(data)
      wait()
      return
    }
    if (slice.length < data.length) {
      // One that flows would emit it at once; one that is paused would not show whether Node has paused it too.
      socket.pause()
      socket.unshift(data.subarray(slice.length))
      socket.resume()
    }
    for (const parse of parsers) parse(slice)
    if (isOver || socket.destroyed) return
    isWanted = !socket.isPaused()
    if (socket.readableLength > 0) wait()
  }
  for (const parse of parsers) socket.removeListener('data', parse)
  socket.on('data', take)
  socket.once('close', () =>
    // After Node has closed those that it knows.
    setImmediate(() => {
      for (const response of open) response.destroy().emit('close')
    }),
  )
  return {
    begin: (response) => {
      open.add(response)
      response.once('close', () => {
        open.delete(response)
        if (!isOver && isWanted && socket.readableLength > 0) wait()
      })
    },
    open,
    stop: () => {
      isOver = true
      socket.removeListener('data', take)
    },
  }
}

/** Returns the start of `data` that is one slice, and how many heads end in it: at most `headsMax`. */
const sliceOf = (data: Buffer, headsMax: number): { readonly slice: Buffer; readonly heads: number } => {
  const slice = data.length > sliceBytesMax ? data.subarray(0, sliceBytesMax) : data
  let end = 0
  let heads = 0
  while (heads < headsMax && end < slice.length) {
    const found = slice.indexOf(endOfHead, end, 'latin1')
    if (found < 0) return { slice, heads }
    end = found + endOfHead.length
    heads += 1
  }
  return { slice: slice.subarray(0, end), heads }
}
