import shared from '@eventstore/db-client/generated/shared_pb.js'
import status from '@eventstore/db-client/generated/status_pb.js'
import messages from '@eventstore/db-client/generated/streams_pb.js'
import { commit } from './append.ts'
import { Any, grpc, rpcError } from './grpc.ts'
import type { Expected, ServerLog } from './log.ts'
import { nameOf } from './messages.ts'

export type BatchAppendReq = InstanceType<typeof messages.BatchAppendReq>
export type BatchAppendResp = InstanceType<typeof messages.BatchAppendResp>
type Message = { serializeBinary(): Uint8Array }

/** Returns an answer that the server gives within the call, in place of an error of the call. */
export const refusal = (reason: string, details: Message, type = `event_store.client.${reason}`): BatchAppendResp => {
  const packed = new Any()
  packed.pack(details.serializeBinary(), type)
  return new messages.BatchAppendResp().setError(new status.Status().setMessage(reason).setDetails(packed as never))
}

/** Returns the answer of a server that did nothing: it is busy, not ready, or knows of no leader. */
export const notHandled = (message: string): BatchAppendResp =>
  refusal(message, new shared.Empty(), 'google.protobuf.Empty')

/** Returns the answer of a server whose followers have not answered in time. */
export const timeout = (): BatchAppendResp => refusal('Timeout', new shared.Timeout())

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

/** Returns the ids of the events of an append. */
export const idsOfBatch = (request: BatchAppendReq): string =>
  request
    .getProposedMessagesList()
    .map((event) => event.getId()?.getString() ?? '')
    .join()

/** Answers one message of the call, which here holds an append whole. */
export const answerBatchAppend = (log: ServerLog, request: BatchAppendReq, appendBytesMax: number): BatchAppendResp => {
  const options = request.getOptions()
  if (!options || !request.getIsFinal()) throw rpcError(grpc.status.UNIMPLEMENTED, 'not part of this server')
  const stream = nameOf(options.getStreamIdentifier())
  if (log.isTombstoned(stream)) return refusal('StreamDeleted', new shared.StreamDeleted())
  const events = request.getProposedMessagesList().map((event) => ({
    id: event.getId()?.getString() ?? '',
    type: event.getMetadataMap().get('type') ?? '',
    isJson: event.getMetadataMap().get('content-type') === 'application/json',
    data: Buffer.from(event.getData_asU8()),
    metadata: Buffer.from(event.getCustomMetadata_asU8()),
  }))
  const outcome = commit(log, { stream, expected: expectedOf(options), events }, appendBytesMax)
  if (outcome === 'too large') {
    const size = new shared.MaximumAppendSizeExceeded().setMaxappendsize(appendBytesMax)
    return refusal('MaximumAppendSizeExceeded', size)
  }
  if ('current' in outcome) return wrongExpectedVersion(outcome.current)
  const { revision, position } = outcome.written
  const at = new shared.AllStreamPosition().setCommitPosition(String(position)).setPreparePosition(String(position))
  const success = new messages.BatchAppendResp.Success().setCurrentRevision(String(revision)).setPosition(at)
  return new messages.BatchAppendResp().setSuccess(success)
}
