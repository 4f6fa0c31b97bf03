import shared from '@eventstore/db-client/generated/shared_pb.js'
import messages from '@eventstore/db-client/generated/streams_pb.js'
import { grpc, rpcError } from './grpc.ts'
import type { Expected, LogRecord, Proposed } from './log.ts'
import { nameOf } from './messages.ts'
import type { Denial, Node } from './node.ts'
import { leaderInfo, streamDeleted } from './read.ts'
import { type Limits, type TooLarge, tooLarge } from './sizes.ts'

type AppendReq = InstanceType<typeof messages.AppendReq>
type AppendResp = InstanceType<typeof messages.AppendResp>
type Options = NonNullable<ReturnType<AppendReq['getOptions']>>

const expectedOf = (options: Options): Expected => {
  if (options.hasAny()) return 'any'
  if (options.hasStreamExists()) return 'stream exists'
  return options.hasNoStream() ? -1n : BigInt(options.getRevision())
}

/** Returns the answer to an append. One that was written before has no position when an operator has cut its events. */
const success = ({ revision, position }: LogRecord, isReadable: boolean): AppendResp => {
  const written = new messages.AppendResp.Success().setCurrentRevision(String(revision))
  const at = new messages.AppendResp.Position().setCommitPosition(String(position)).setPreparePosition(String(position))
  if (isReadable) written.setPosition(at)
  else written.setNoPosition(new shared.Empty())
  return new messages.AppendResp().setSuccess(written)
}

const wrongExpectedVersion = (expected: Expected, current: bigint): AppendResp => {
  const wrong = new messages.AppendResp.WrongExpectedVersion()
  if (expected === 'any') wrong.setExpectedAny(new shared.Empty())
  else if (expected === 'stream exists') wrong.setExpectedStreamExists(new shared.Empty())
  else if (expected < 0n) wrong.setExpectedNoStream(new shared.Empty())
  else wrong.setExpectedRevision(String(expected))
  if (current < 0n) wrong.setCurrentNoStream(new shared.Empty())
  else wrong.setCurrentRevision(String(current))
  return new messages.AppendResp().setWrongExpectedVersion(wrong)
}

const proposedOf = (message: AppendReq): Proposed => {
  const proposed = message.getProposedMessage()
  const about = proposed?.getMetadataMap()
  const [type, contentType] = [about?.get('type'), about?.get('content-type')]
  if (!proposed || type === undefined || contentType === undefined)
    throw rpcError(grpc.status.INVALID_ARGUMENT, "Required Metadata Property 'type' is missing", {
      exception: 'missing-required-metadata-property',
      'required-metadata-properties': 'type,content-type',
    })
  return {
    id: proposed.getId()?.getString() ?? '',
    type,
    isJson: contentType === 'application/json',
    data: Buffer.from(proposed.getData_asU8()),
    metadata: Buffer.from(proposed.getCustomMetadata_asU8()),
  }
}

const notHandled = (denial: Denial) => {
  if (typeof denial === 'object') return leaderInfo(denial.leaderPort)
  return rpcError(grpc.status.UNAVAILABLE, denial === 'busy' ? 'Server Is Too Busy' : 'Server Is Not Ready')
}

const sizeError = (found: TooLarge) => {
  if (found.tooLarge === 'append')
    return rpcError(grpc.status.INVALID_ARGUMENT, `Maximum Append Size of ${found.bytesMax} Exceeded.`, {
      exception: 'maximum-append-size-exceeded',
      'maximum-append-size': String(found.bytesMax),
    })
  const id = `{ "string": "${found.id}" }`
  const message = `Event with Id: ${id}, Size: ${found.bytes}, exceeds Maximum Append Event Size of ${found.bytesMax}.`
  return rpcError(grpc.status.INVALID_ARGUMENT, message, {
    exception: 'maximum-append-event-size-exceeded',
    'maximum-append-event-size': String(found.bytesMax),
    'event-id': id,
    'proposed-append-event-size': String(found.bytes),
  })
}

/** Answers one append after all of its messages have arrived. Throws where the server answers with an error. */
export const answerAppend = async (
  node: Pick<Node, 'denialOf' | 'write'>,
  sent: readonly AppendReq[],
  requiresLeader: boolean,
  { limits, isReadable }: { readonly limits: Limits; readonly isReadable: (record: LogRecord) => boolean },
): Promise<AppendResp> => {
  const options = sent[0]?.getOptions()
  if (!options) throw rpcError(grpc.status.UNKNOWN, 'Exception was thrown by handler.')
  const stream = nameOf(options.getStreamIdentifier())
  const expected = expectedOf(options)
  const events = sent.slice(1).map(proposedOf)
  const found = tooLarge(events, limits)
  if (found) throw sizeError(found)
  const denial = node.denialOf({ write: true, requiresLeader })
  if (denial) throw notHandled(denial)
  const written = await node.write({ stream, expected, events })
  if (written.outcome === 'deleted') throw streamDeleted(stream)
  // The server has another time-out for preparing a write, which a write of events does not have.
  if (written.outcome === 'timeout') throw rpcError(grpc.status.ABORTED, 'Operation timed out: Commit phase timeout.')
  if (written.outcome === 'conflict') return wrongExpectedVersion(expected, written.current)
  return success(written.last, isReadable(written.last))
}
