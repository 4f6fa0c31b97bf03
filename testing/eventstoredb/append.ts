import shared from '@eventstore/db-client/generated/shared_pb.js'
import messages from '@eventstore/db-client/generated/streams_pb.js'
import { grpc, rpcError } from './grpc.ts'
import type { Expected, LogRecord, Proposed, ServerLog } from './log.ts'
import { nameOf } from './messages.ts'
import { refuseTombstoned } from './read.ts'

type AppendReq = InstanceType<typeof messages.AppendReq>
type AppendResp = InstanceType<typeof messages.AppendResp>
type Options = NonNullable<ReturnType<AppendReq['getOptions']>>

const expectedOf = (options: Options): Expected => {
  if (options.hasAny()) return 'any'
  if (options.hasStreamExists()) return 'stream exists'
  return options.hasNoStream() ? -1n : BigInt(options.getRevision())
}

const success = ({ revision, position }: LogRecord): AppendResp =>
  new messages.AppendResp().setSuccess(
    new messages.AppendResp.Success()
      .setCurrentRevision(String(revision))
      .setPosition(
        new messages.AppendResp.Position().setCommitPosition(String(position)).setPreparePosition(String(position)),
      ),
  )

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

/** Returns the ids of the events of an append. */
export const idsOfAppend = (sent: readonly AppendReq[]): string =>
  sent.flatMap((message) => message.getProposedMessage()?.getId()?.getString() ?? []).join()

/** Decides on an append, and writes it where nothing is against it. The server counts the data only: `data?.Length ?? 0 +
 *  …` takes the rest into the second operand. */
export const commit = (
  log: ServerLog,
  append: { readonly stream: string; readonly expected: Expected; readonly events: readonly Proposed[] },
  appendBytesMax: number,
): { readonly written: LogRecord } | { readonly current: bigint } | 'too large' => {
  const { stream, expected, events } = append
  if (events.reduce((sum, { data }) => sum + data.length, 0) > appendBytesMax) return 'too large'
  const verdict = log.check(
    stream,
    expected,
    events.map(({ id }) => id),
  )
  if (verdict.decision === 'wrong version') return { current: verdict.current }
  return { written: verdict.decision === 'idempotent' ? verdict.last : log.write(stream, events) }
}

/** Answers one append after all of its messages have arrived. Throws where the server answers with an error. */
export const answerAppend = (log: ServerLog, sent: readonly AppendReq[], appendBytesMax: number): AppendResp => {
  const options = sent[0]?.getOptions()
  if (!options) throw rpcError(grpc.status.UNKNOWN, 'Exception was thrown by handler.')
  const stream = nameOf(options.getStreamIdentifier())
  refuseTombstoned(log, stream)
  const expected = expectedOf(options)
  const outcome = commit(log, { stream, expected, events: sent.slice(1).map(proposedOf) }, appendBytesMax)
  if (outcome === 'too large')
    throw rpcError(grpc.status.INVALID_ARGUMENT, `Maximum Append Size of ${appendBytesMax} Exceeded.`, {
      exception: 'maximum-append-size-exceeded',
      'maximum-append-size': String(appendBytesMax),
    })
  return 'current' in outcome ? wrongExpectedVersion(expected, outcome.current) : success(outcome.written)
}
