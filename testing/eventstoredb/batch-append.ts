import shared from '@eventstore/db-client/generated/shared_pb.js'
import status from '@eventstore/db-client/generated/status_pb.js'
import messages from '@eventstore/db-client/generated/streams_pb.js'
import { Any, BinaryWriter, Empty, grpc, rpcError } from './grpc.ts'
import type { Expected, LogRecord } from './log.ts'
import { nameOf } from './messages.ts'
import type { Denial, Node } from './node.ts'
import { leaderInfo } from './read.ts'
import { type Limits, type TooLarge, tooLarge } from './sizes.ts'

export type BatchAppendReq = InstanceType<typeof messages.BatchAppendReq>
export type BatchAppendResp = InstanceType<typeof messages.BatchAppendResp>
type Message = { serializeBinary(): Uint8Array }

/** Returns an answer that the server gives within the call, in place of an error of the call. */
export const refusal = (reason: string, details: Message, type = `event_store.client.${reason}`): BatchAppendResp => {
  const packed = new Any()
  packed.pack(details.serializeBinary(), type)
  return new messages.BatchAppendResp().setError(new status.Status().setMessage(reason).setDetails(packed as never))
}

/** Returns the answer of a server that did nothing. One that knows another leader ends the call with an error. */
export const notHandled = (denial: Denial): BatchAppendResp => {
  if (typeof denial === 'object') throw leaderInfo(denial.leaderPort)
  const message = denial === 'busy' ? 'Server Is Busy' : 'Server Is Not Ready'
  return refusal(message, new shared.Empty(), 'google.protobuf.Empty')
}

const expectedOf = (options: InstanceType<typeof messages.BatchAppendReq.Options>): Expected => {
  if (options.hasAny()) return 'any'
  if (options.hasStreamExists()) return 'stream exists'
  return options.hasNoStream() ? -1n : BigInt(options.getStreamPosition())
}

const wrongExpectedVersion = (current: bigint): BatchAppendResp => {
  const wrong = new shared.WrongExpectedVersion()
  if (current < 0n) wrong.setCurrentNoStream(new shared.Empty() as never)
  else wrong.setCurrentStreamRevision(String(current))
  return refusal('WrongExpectedVersion', wrong)
}

/** Returns the details of a refusal. The client has no class for this one. */
const eventTooLarge = (id: string, bytes: number, bytesMax: number): Message => ({
  serializeBinary: () => {
    const writer = new BinaryWriter()
    writer.writeString(1, id)
    writer.writeUint32(2, bytes)
    writer.writeUint32(3, bytesMax)
    return writer.getResultBuffer()
  },
})

/** Returns the answer to an append that is too large. */
export const sizeRefusal = (found: TooLarge): BatchAppendResp =>
  found.tooLarge === 'append'
    ? refusal('MaximumAppendSizeExceeded', new shared.MaximumAppendSizeExceeded().setMaxappendsize(found.bytesMax))
    : refusal('MaximumAppendEventSizeExceeded', eventTooLarge(found.id, found.bytes, found.bytesMax))

/** Answers one message of the call, which here holds an append whole. Throws the error that ends the call. */
export const answerBatchAppend = async (
  node: Pick<Node, 'denialOf' | 'write'>,
  request: BatchAppendReq,
  requiresLeader: boolean,
  { limits, isReadable }: { readonly limits: Limits; readonly isReadable: (record: LogRecord) => boolean },
): Promise<BatchAppendResp> => {
  const options = request.getOptions()
  if (!options || !request.getIsFinal()) throw rpcError(grpc.status.UNIMPLEMENTED, 'not part of this server')
  const stream = nameOf(options.getStreamIdentifier())
  const events = request.getProposedMessagesList().map((event) => ({
    id: event.getId()?.getString() ?? '',
    type: event.getMetadataMap().get('type') ?? '',
    isJson: event.getMetadataMap().get('content-type') === 'application/json',
    data: Buffer.from(event.getData_asU8()),
    metadata: Buffer.from(event.getCustomMetadata_asU8()),
  }))
  const found = tooLarge(events, limits)
  if (found) return sizeRefusal(found)
  const denial = node.denialOf({ write: true, requiresLeader })
  if (denial) return notHandled(denial)
  const written = await node.write({ stream, expected: expectedOf(options), events })
  if (written.outcome === 'deleted') return refusal('StreamDeleted', new shared.StreamDeleted())
  if (written.outcome === 'timeout') return refusal('Timeout', new shared.Timeout())
  if (written.outcome === 'conflict') return wrongExpectedVersion(written.current)
  const { revision, position } = written.last
  const success = new messages.BatchAppendResp.Success().setCurrentRevision(String(revision))
  const at = new shared.AllStreamPosition().setCommitPosition(String(position)).setPreparePosition(String(position))
  // An append that was written before has no position when an operator has cut its events.
  if (isReadable(written.last)) success.setPosition(at)
  else success.setNoPosition(new Empty() as never)
  return new messages.BatchAppendResp().setSuccess(success)
}
