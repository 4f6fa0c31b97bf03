// A server of EventStoreDB's protocol in this process, for tests: built from the client's own service definitions, with
// the answers of the server's source code. It holds its log in memory, asks for no password, and serves what this
// project uses: appends one by one, reads, and filtered subscriptions to $all.

import gossipServices from '@eventstore/db-client/generated/gossip_grpc_pb.js'
import gossip from '@eventstore/db-client/generated/gossip_pb.js'
import featureServices from '@eventstore/db-client/generated/serverfeatures_grpc_pb.js'
import features from '@eventstore/db-client/generated/serverfeatures_pb.js'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import streamServices from '@eventstore/db-client/generated/streams_grpc_pb.js'
import type messages from '@eventstore/db-client/generated/streams_pb.js'
import { createSignal } from '../../infra/async/signal.ts'
import { sleep } from '../../infra/async/sleep.ts'
import { answerAppend, idsOfAppend } from './append.ts'
import {
  answerBatchAppend,
  type BatchAppendReq,
  type BatchAppendResp,
  idsOfBatch,
  notHandled,
  timeout,
} from './batch-append.ts'
import {
  grpc,
  type Metadata,
  rpcError,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerWritableStream,
} from './grpc.ts'
import { createServerLog, type ServerLog } from './log.ts'
import { answerRead, type ReadReq, type ReadResp, type Send } from './read.ts'
import { answerSubscription } from './subscription.ts'

type AppendReq = InstanceType<typeof messages.AppendReq>
type AppendResp = InstanceType<typeof messages.AppendResp>

/** What becomes of an append: `cut before` and `cut after` break all connections before or after it was stored, without
 *  an answer; `hang` never answers, though it is stored; `busy` and `not ready` are answers before it did
 *  anything; `no quorum` gives up waiting for the followers, and nothing was written. */
export type Fault = 'cut before' | 'cut after' | 'hang' | 'busy' | 'not ready' | 'no quorum'

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
  /** Names another server as the leader from now on, or none. */
  follow(leader: { readonly port: number } | 'nobody' | 'myself'): void
  /** Refuses to name the nodes, as during an election, until it is called with false. */
  refuseGossip(refuses: boolean): void
  /** Drops all subscriptions, as an overloaded server does. */
  dropSubscriptions(): void
  /** Ends, and begins again on the same port and log. Breaks all connections; forgets what a server keeps in memory. */
  restart(whileAway?: () => Promise<void>): Promise<void>
  /** Ends, and begins again on the same port with another log. */
  replaceLog(other: ServerLog): Promise<void>
  /** Answers from another log from now on, as a proxy does that goes over to another server and breaks no connection. */
  swapLog(other: ServerLog): void
  stop(): Promise<void>
}

const appendBytesMaxDefault = 1_048_576 * 16
/** How long the server waits for its followers. */
const commitMsMax = 2_000
/** How many times the event loop runs until the followers have written. */
const replicationTurns = 3

export const startEventStoreDbServer = async ({
  log: first = createServerLog(),
  appendBytesMax = appendBytesMaxDefault,
}: {
  readonly log?: ServerLog
  readonly appendBytesMax?: number
} = {}): Promise<EventStoreDbServer> => {
  let log = first
  const asked = new Map<string, number>()
  const faults: Fault[] = []
  const dropping = createSignal()
  let readFault: string | undefined
  let refusesGossip = false
  let leader: { readonly port: number } | 'nobody' | 'myself' = 'myself'
  let port = 0
  let server = new grpc.Server()

  /** The appends whose events the followers have not written yet. */
  const replicating = new Set<string>()
  const replicated = async () => {
    for (let turn = 0; turn < replicationTurns; turn += 1) await new Promise(setImmediate)
  }

  const count = (call: string) => asked.set(call, (asked.get(call) ?? 0) + 1)

  const mustLead = (metadata: Metadata) => {
    if (leader === 'myself' || metadata.get('requires-leader')[0] !== 'true') return
    if (leader === 'nobody') throw rpcError(grpc.status.UNKNOWN, 'No leader info available in response')
    throw rpcError(grpc.status.NOT_FOUND, 'Leader info available', {
      exception: 'not-leader',
      'leader-endpoint-host': '127.0.0.1',
      'leader-endpoint-port': String(leader.port),
    })
  }

  const append = (
    call: ServerReadableStream<AppendReq, AppendResp>,
    answer: (error: unknown, response?: AppendResp) => void,
  ) => {
    count('append')
    const sent: AppendReq[] = []
    call.on('data', (message: AppendReq) => sent.push(message))
    call.on('end', async () => {
      // Calls of one connection have no order among each other.
      for (let pause = Math.floor(Math.random() * 3); pause > 0; pause -= 1) await new Promise(setImmediate)
      const ids = idsOfAppend(sent)
      try {
        mustLead(call.metadata)
        const fault = faults.shift()
        if (fault === 'busy') throw rpcError(grpc.status.UNAVAILABLE, 'Server Is Too Busy')
        if (fault === 'not ready') throw rpcError(grpc.status.UNAVAILABLE, 'Server Is Not Ready')
        if (fault === 'cut before') return void restart()
        if (replicating.has(ids)) {
          // The server drops a repetition of what its followers have not written yet.
          await sleep(commitMsMax)
          throw rpcError(grpc.status.ABORTED, 'Operation timed out: Commit phase timeout')
        }
        replicating.add(ids)
        await replicated()
        if (fault === 'no quorum') {
          await sleep(commitMsMax)
          throw rpcError(grpc.status.ABORTED, 'Operation timed out: Prepare phase timeout')
        }
        const response = answerAppend(log, sent, appendBytesMax)
        if (fault === 'cut after') return void restart()
        if (fault !== 'hang') answer(null, response)
      } catch (error) {
        answer(error)
      } finally {
        replicating.delete(ids)
      }
    })
  }

  /** Answers the appends of one call in the order in which they came. */
  const batchAppend = (call: ServerDuplexStream<BatchAppendReq, BatchAppendResp>) => {
    const answer = (request: BatchAppendReq, response: BatchAppendResp) => {
      if (!call.cancelled) call.write(response.setCorrelationId(request.getCorrelationId()))
    }
    const answerOne = async (request: BatchAppendReq): Promise<BatchAppendResp | undefined> => {
      count('append')
      if (leader === 'nobody') return notHandled('No leader info available in response')
      mustLead(call.metadata)
      const ids = idsOfBatch(request)
      const fault = faults.shift()
      if (fault === 'busy') return notHandled('Server Is Busy')
      if (fault === 'not ready') return notHandled('Server Is Not Ready')
      if (fault === 'cut before') return void restart()
      if (replicating.has(ids)) {
        // The server drops a repetition of what its followers have not written yet.
        await sleep(commitMsMax)
        return timeout()
      }
      replicating.add(ids)
      try {
        await replicated()
        if (fault === 'no quorum') {
          await sleep(commitMsMax)
          return timeout()
        }
        const response = answerBatchAppend(log, request, appendBytesMax)
        if (fault === 'cut after') return void restart()
        return fault === 'hang' ? undefined : response
      } finally {
        replicating.delete(ids)
      }
    }
    call.on('error', () => undefined)
    call.on('end', () => call.end())
    call.on('data', (request: BatchAppendReq) => {
      answerOne(request).then(
        (response) => response && answer(request, response),
        (error) => call.emit('error', error),
      )
    })
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
      if (!over.signal.aborted && !call.write(message)) await drained.wait({ signal: over.signal })
    }
    try {
      mustLead(call.metadata)
      if (readFault !== undefined)
        throw rpcError(grpc.status[readFault as keyof typeof grpc.status], 'refused by the spec')
      const options = call.request.getOptions()
      if (!options) throw rpcError(grpc.status.INVALID_ARGUMENT, 'no options')
      count(options.hasSubscription() ? 'subscribe' : options.hasStream() ? 'readStream' : 'readAll')
      if (!options.hasSubscription()) await answerRead(log, options, send)
      else {
        const dropped = dropping.wait({ signal: over.signal }).then(() => {
          if (!over.signal.aborted) throw rpcError(grpc.status.CANCELLED, 'the subscription was dropped')
        })
        await Promise.race([answerSubscription(log, options, send, over.signal), dropped])
      }
      call.end()
    } catch (error) {
      call.emit('error', error)
    }
    over.abort('over')
  }

  const listen = async () => {
    server = new grpc.Server({ 'grpc.max_receive_message_length': -1 })
    server.addService(streamServices.StreamsService as never, { append, batchAppend, read } as never)
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
    answer(null, new features.SupportedMethods().setEventStoreServerVersion('24.10.0').setMethodsList(methods))
  }

  const readGossip = (_: unknown, answer: (error: unknown, response?: unknown) => void) => {
    count('gossip')
    if (refusesGossip) return answer(rpcError(grpc.status.UNAVAILABLE, 'Server Is Not Ready'))
    const ports = [port, ...(typeof leader === 'object' ? [leader.port] : [])]
    const { VNodeState } = gossip.MemberInfo
    const members = ports.map((each) =>
      new gossip.MemberInfo()
        .setInstanceId(new shared.UUID().setString(crypto.randomUUID()))
        .setIsAlive(true)
        .setState(each === port && leader !== 'myself' ? VNodeState.FOLLOWER : VNodeState.LEADER)
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
    follow: (other) => {
      leader = other
    },
    refuseGossip: (refuses) => {
      refusesGossip = refuses
    },
    dropSubscriptions: dropping.notify,
    restart,
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
