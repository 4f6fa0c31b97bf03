// A server of EventStoreDB's protocol in this process, for tests: built from the client's own service definitions, with
// the answers of the server's source code. It holds its log in memory, asks for no password, and serves what this
// project uses: appends one by one, reads, and filtered subscriptions to $all.

import gossipServices from '@eventstore/db-client/generated/gossip_grpc_pb.js'
import gossip from '@eventstore/db-client/generated/gossip_pb.js'
import featureServices from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js'
import features from '@eventstore/db-client/generated/serverfeatures_pb.js'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import streamServices from '@eventstore/db-client/generated/streams_grpc_pb.js'
import messages from '@eventstore/db-client/generated/streams_pb.js'
import { createSignal } from '../../infra/async/signal.ts'
import { sleep } from '../../infra/async/sleep.ts'
import { answerAppend } from './append.ts'
import { answerBatchAppend, type BatchAppendReq, type BatchAppendResp } from './batch-append.ts'
import {
  grpc,
  type Metadata,
  rpcError,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerWritableStream,
} from './grpc.ts'
import { createServerLog, type LogRecord, type ServerLog } from './log.ts'
import { nameOf } from './messages.ts'
import { createNode, type Denial, type Node } from './node.ts'
import { answerRead, leaderInfo, type ReadReq, type ReadResp, type Send } from './read.ts'
import type { Limits, Release } from './sizes.ts'
import { answerSubscription } from './subscription.ts'

type AppendReq = InstanceType<typeof messages.AppendReq>
type AppendResp = InstanceType<typeof messages.AppendResp>
type DeleteReq = InstanceType<typeof messages.DeleteReq>

/** What becomes of an append: `cut before` and `cut after` break all connections before or after it was stored, without
 *  an answer; `hang` never answers, though it is stored; `busy` and `not ready` are answers before it did
 *  anything; `no quorum` gives up waiting for the followers, and what was written is lost; `late quorum` gives up too,
 *  and then the followers come back and write it; with the name of a gRPC status, its call ends with that before or after
 *  it was stored, and with the call all other appends on it, as by a proxy. */
export type Fault =
  | 'cut before'
  | 'cut after'
  | 'hang'
  | 'busy'
  | 'not ready'
  | 'no quorum'
  | 'late quorum'
  | `${keyof typeof grpc.status} ${'before' | 'after'}`

export type EventStoreDbServer = {
  readonly url: string
  readonly port: number
  readonly log: ServerLog
  /** How often each call was made, and how many messages reads and subscriptions have sent (`sent`). */
  readonly asked: ReadonlyMap<string, number>
  /** Answers every read with this gRPC status and drops all subscriptions, until it is called with undefined. */
  failReads(status: string | undefined): void
  /** Makes the next append fail in this way. */
  failNextAppend(fault: Fault): void
  /** Returns how many appends have met such a fault. */
  faultsMet(): number
  /** Names another server as the leader from now on, or none. */
  follow(leader: { readonly port: number } | 'nobody' | 'myself'): void
  /** Refuses to name the nodes, as during an election, until it is called with false. */
  refuseGossip(refuses: boolean): void
  /** Resigns: cancels the writes on their way, takes no more of them, and follows another server a moment later. */
  resign(next: { readonly port: number }): Promise<void>
  /** Drops all subscriptions. */
  dropSubscriptions(): void
  /** Answers nothing any more, with all connections open. */
  freeze(): void
  /** Ends, and begins again on the same port and log. Breaks all connections; forgets what a server keeps in memory. */
  restart(whileAway?: () => Promise<void>): Promise<void>
  /** Restarts after an orderly stop: for a moment it is still there, and takes no more requests. */
  shutDown(): Promise<void>
  /** Ends, and begins again on the same port with another log. */
  replaceLog(other: ServerLog): Promise<void>
  /** Answers from another log from now on, as a proxy does that goes over to another server and breaks no connection. */
  swapLog(other: ServerLog): void
  stop(): Promise<void>
}

const appendBytesMaxDefault = 1_048_576
/** A message to the service of streams may have so many bytes. */
const messageBytesMax = 16 * 1_048_576 - 10_000
/** How long the server waits for its followers. */
const commitMsMaxDefault = 2_000
/** How long the followers stay away beyond that. */
const lateMs = 200
/** How long a node is about to change its state. */
const changingMs = 100

export const startEventStoreDbServer = async ({
  log: first = createServerLog(),
  release = '25.0',
  appendBytesMax = appendBytesMaxDefault,
  eventBytesMax = Number.POSITIVE_INFINITY,
  commitMsMax = commitMsMaxDefault,
  deniesAll = false,
}: {
  readonly log?: ServerLog
  readonly release?: Release
  readonly appendBytesMax?: number
  readonly eventBytesMax?: number
  readonly commitMsMax?: number
  /** The user may not read $all, as nobody outside of $admins may by default. */
  readonly deniesAll?: boolean
} = {}): Promise<EventStoreDbServer> => {
  let log = first
  const asked = new Map<string, number>()
  const faults: Fault[] = []
  let faultsMet = 0
  const dropping = createSignal()
  let readFault: string | undefined
  let refusesGossip = false
  let port = 0
  let server = new grpc.Server()
  const node = createNode(() => log, commitMsMax)
  const limits: Limits = { release, appendBytesMax, eventBytesMax }
  let frozen: Promise<void> | undefined

  const count = (call: string) => asked.set(call, (asked.get(call) ?? 0) + 1)

  const requiresLeader = (metadata: Metadata) => metadata.get('requires-leader')[0] === 'true'

  /** Returns what decides on one append, with the next fault. Its `write` never resolves when the answer is not sent. */
  const faulty = (): Pick<Node, 'denialOf' | 'write'> => {
    const fault = faults.shift()
    if (fault) faultsMet += 1
    if (fault === undefined) return node
    const denied: Denial | undefined = fault === 'busy' || fault === 'not ready' ? fault : undefined
    const never = new Promise<never>(() => undefined)
    return {
      denialOf: (request) => node.denialOf(request) ?? denied,
      write: async (append) => {
        if (fault === 'cut before') {
          void restart()
          return never
        }
        if (fault === 'no quorum') node.loseFollowers(commitMsMax + lateMs, 'lost')
        if (fault === 'late quorum') node.loseFollowers(commitMsMax + lateMs, 'back')
        const [status, when] = fault.split(' ')
        const code = grpc.status[status as keyof typeof grpc.status]
        const error = code === undefined ? undefined : rpcError(code, 'ended by the spec')
        if (error && when === 'before') throw error
        const written = await node.write(append)
        if (error) throw error
        if (fault === 'cut after') void restart()
        return fault === 'cut after' || fault === 'hang' ? never : written
      },
    }
  }
  const more = { limits, isReadable: (record: LogRecord) => log.isReadable(record) }

  const append = (
    call: ServerReadableStream<AppendReq, AppendResp>,
    answer: (error: unknown, response?: AppendResp) => void,
  ) => {
    count('append')
    const sent: AppendReq[] = []
    call.on('data', (message: AppendReq) => sent.push(message))
    call.on('end', async () => {
      await frozen
      // Calls of one connection have no order among each other.
      for (let pause = Math.floor(Math.random() * 3); pause > 0; pause -= 1) await new Promise(setImmediate)
      answerAppend(faulty(), sent, requiresLeader(call.metadata), more).then(
        (response) => answer(null, response),
        (error) => answer(error),
      )
    })
  }

  /** Takes the appends of one call in the order in which they come. The first that another node must take ends it. */
  const batchAppend = (call: ServerDuplexStream<BatchAppendReq, BatchAppendResp>) => {
    call.on('error', () => undefined)
    call.on('end', () => call.end())
    call.on('data', async (request: BatchAppendReq) => {
      if (frozen) await frozen
      count('append')
      answerBatchAppend(faulty(), request, requiresLeader(call.metadata), more).then(
        (response) => !call.cancelled && call.write(response.setCorrelationId(request.getCorrelationId())),
        (error) => call.emit('error', error),
      )
    })
  }

  /** Deletes a stream, or deletes it forever. */
  const remove =
    (forever: boolean) =>
    ({ request }: { readonly request: DeleteReq }, answer: (error: null, response: unknown) => void) => {
      const stream = nameOf(request.getOptions()?.getStreamIdentifier())
      if (forever) log.tombstone(stream)
      else log.truncate(stream, 'all')
      const response = forever ? new messages.TombstoneResp() : new messages.DeleteResp()
      answer(null, response.setNoPosition(new shared.Empty()))
    }

  const read = async (call: ServerWritableStream<ReadReq, ReadResp>) => {
    const over = new AbortController()
    call.on('cancelled', () => over.abort('over'))
    call.on('error', () => over.abort('over'))
    call.on('close', () => over.abort('over'))
    const drained = createSignal()
    call.on('drain', drained.notify)
    const send: Send = async (message) => {
      count('sent')
      if (frozen) await frozen
      if (!over.signal.aborted && !call.write(message)) await drained.wait({ signal: over.signal })
    }
    try {
      if (frozen) await frozen
      const denial = node.denialOf({ write: false, requiresLeader: requiresLeader(call.metadata) })
      if (typeof denial === 'object') throw leaderInfo(denial.leaderPort)
      if (denial) throw rpcError(grpc.status.UNAVAILABLE, 'Server Is Not Ready')
      if (readFault !== undefined)
        throw rpcError(grpc.status[readFault as keyof typeof grpc.status], 'refused by the spec')
      const options = call.request.getOptions()
      if (!options) throw rpcError(grpc.status.INVALID_ARGUMENT, 'no options')
      if (deniesAll && options.hasAll())
        throw rpcError(grpc.status.PERMISSION_DENIED, 'Access Denied', { exception: 'access-denied' })
      count(options.hasSubscription() ? 'subscribe' : options.hasStream() ? 'readStream' : 'readAll')
      if (!options.hasSubscription()) await answerRead(log, options, release, send)
      else {
        const dropped = dropping.wait({ signal: over.signal }).then(() => {
          if (!over.signal.aborted) throw rpcError(grpc.status.CANCELLED, 'the subscription was dropped')
        })
        await Promise.race([answerSubscription(log, options, release, send, over.signal), dropped])
      }
      call.end()
    } catch (error) {
      call.emit('error', error)
    }
    over.abort('over')
  }

  const listen = async () => {
    server = new grpc.Server({ 'grpc.max_receive_message_length': messageBytesMax })
    server.addService(
      streamServices.StreamsService as never,
      { append, batchAppend, read, delete: remove(false), tombstone: remove(true) } as never,
    )
    server.addService(featureServices.ServerFeaturesService as never, { getSupportedMethods } as never)
    server.addService(gossipServices.GossipService as never, { read: readGossip } as never)
    port = await new Promise<number>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    )
  }

  let restarting: Promise<void> | undefined
  const restartOnce = async (whileAway?: () => Promise<void>) => {
    server.forceShutdown()
    log.forgetRecent()
    await whileAway?.()
    await listen()
  }
  /** Joins a restart that goes on already. */
  const restart: EventStoreDbServer['restart'] = (whileAway) => {
    restarting ??= restartOnce(whileAway).finally(() => {
      restarting = undefined
    })
    return restarting
  }

  const getSupportedMethods = (_: unknown, answer: (error: null, response: unknown) => void) => {
    const methods = ['append', 'batchappend', 'read', 'delete', 'tombstone'].map((name) =>
      new features.SupportedMethod().setServiceName('event_store.client.streams.streams').setMethodName(name),
    )
    answer(
      null,
      new features.SupportedMethods()
        .setEventStoreServerVersion(release === '23.10' ? '23.10.6' : '25.0.0')
        .setMethodsList(methods),
    )
  }

  const readGossip = async (_: unknown, answer: (error: unknown, response?: unknown) => void) => {
    count('gossip')
    await frozen
    if (refusesGossip) return answer(rpcError(grpc.status.UNAVAILABLE, 'Server Is Not Ready'))
    const state = node.state()
    const ports = [port, ...(typeof state === 'object' ? [state.port] : [])]
    const { VNodeState } = gossip.MemberInfo
    const own = { leader: VNodeState.LEADER, resigning: VNodeState.RESIGNINGLEADER, 'no leader': VNodeState.UNKNOWN }
    const stateOf = (each: number) => {
      if (each !== port) return VNodeState.LEADER
      if (typeof state === 'object') return VNodeState.FOLLOWER
      return state === 'shutting down' ? VNodeState.SHUTTINGDOWN : own[state]
    }
    const members = ports.map((each) =>
      new gossip.MemberInfo()
        .setInstanceId(new shared.UUID().setString(crypto.randomUUID()))
        .setIsAlive(true)
        .setState(stateOf(each))
        .setHttpEndPoint(new gossip.EndPoint().setAddress('127.0.0.1').setPort(each)),
    )
    answer(null, new gossip.ClusterInfo().setMembersList(members))
  }

  await listen()
  return {
    get url() {
      return `esdb://127.0.0.1:${port}?tls=false`
    },
    get port() {
      return port
    },
    get log() {
      return log
    },
    asked,
    failReads: (status) => {
      readFault = status
      if (status !== undefined) dropping.notify()
    },
    failNextAppend: (fault) => faults.push(fault),
    faultsMet: () => faultsMet,
    follow: (leader) => node.become(leader === 'myself' ? 'leader' : leader === 'nobody' ? 'no leader' : leader),
    resign: async (next) => {
      node.become('resigning')
      await sleep(changingMs)
      node.become(next)
    },
    refuseGossip: (refuses) => {
      refusesGossip = refuses
    },
    dropSubscriptions: dropping.notify,
    freeze: () => {
      frozen = new Promise(() => undefined)
    },
    restart,
    shutDown: async () => {
      node.become('shutting down')
      await sleep(changingMs)
      await restart(async () => node.become('leader'))
    },
    swapLog: (other) => {
      log = other
    },
    replaceLog: (other) =>
      restart(async () => {
        log = other
      }),
    stop: async () => server.forceShutdown(),
  }
}
