import shared from '@eventstore/db-client/generated/shared_pb.js'
import messages from '@eventstore/db-client/generated/streams_pb.js'
import type { LogRecord } from './log.ts'

type ReadResp = InstanceType<typeof messages.ReadResp>

const ticksPerMs = 10_000n
const utf8 = (text: string) => new Uint8Array(Buffer.from(text, 'utf8'))

const streamNamed = (name: string) => new shared.StreamIdentifier().setStreamName(utf8(name))

export const nameOf = (stream: { getStreamName(): Uint8Array | string } | undefined): string =>
  Buffer.from((stream?.getStreamName() ?? '') as string, 'base64').toString('utf8')

const recordedEvent = (record: LogRecord) => {
  const recorded = new messages.ReadResp.ReadEvent.RecordedEvent()
    .setId(new shared.UUID().setString(record.id))
    .setStreamIdentifier(streamNamed(record.stream))
    .setStreamRevision(String(record.revision))
    .setCommitPosition(String(record.position))
    .setPreparePosition(String(record.position))
    .setData(new Uint8Array(record.data))
    .setCustomMetadata(new Uint8Array(record.metadata))
  const about = recorded.getMetadataMap()
  about.set('type', record.type)
  about.set('content-type', record.isJson ? 'application/json' : 'application/octet-stream')
  about.set('created', String(BigInt(record.createdMs) * ticksPerMs))
  return recorded
}

export const eventMessage = (record: LogRecord): ReadResp => {
  const event = new messages.ReadResp.ReadEvent().setEvent(recordedEvent(record))
  return new messages.ReadResp().setEvent(event.setCommitPosition(String(record.position)))
}

/** Returns the message of a link that was followed, without an event where there is none any more. */
export const linkMessage = (link: LogRecord, target: LogRecord | undefined): ReadResp => {
  const event = new messages.ReadResp.ReadEvent().setLink(recordedEvent(link))
  if (target) event.setEvent(recordedEvent(target))
  return new messages.ReadResp().setEvent(event.setCommitPosition(String(link.position)))
}

export const confirmationMessage = (): ReadResp =>
  new messages.ReadResp().setConfirmation(
    new messages.ReadResp.SubscriptionConfirmation().setSubscriptionId(crypto.randomUUID()),
  )

export const checkpointMessage = ({ commit, prepare }: { commit: bigint; prepare: bigint }): ReadResp =>
  new messages.ReadResp().setCheckpoint(
    new messages.ReadResp.Checkpoint().setCommitPosition(String(commit)).setPreparePosition(String(prepare)),
  )

export const caughtUpMessage = (): ReadResp => new messages.ReadResp().setCaughtUp(new messages.ReadResp.CaughtUp())

export const streamNotFoundMessage = (stream: string): ReadResp =>
  new messages.ReadResp().setStreamNotFound(
    new messages.ReadResp.StreamNotFound().setStreamIdentifier(streamNamed(stream)),
  )
