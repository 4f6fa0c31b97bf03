// What is written by hand is read by the generated classes of the client, and the reverse.
import shared from '@eventstore/db-client/generated/shared_pb.js'
import messages from '@eventstore/db-client/generated/streams_pb.js'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { notHandled, refusal, sizeRefusal } from '../../../testing/eventstoredb/batch-append.ts'
import { eventMessage, nameOf } from '../../../testing/eventstoredb/messages.ts'
import { decodeAppendAnswer, encodeAppend } from './messages.ts'
import { decodeRead, encodeRead, type ReadRequest } from './read-messages.ts'

const text = fc.string({ unit: 'binary', maxLength: 300 }).map((any) => any.toWellFormed())
const name = text.filter((any) => any.length > 0)
const place = fc.bigInt({ min: 0n, max: 2n ** 63n - 2n })
const position = fc.record({ commit: place, prepare: place })
const json = fc.json({ maxDepth: 3 })

test('an append arrives as it was sent, however large', () => {
  const event = fc.record({ serverId: fc.uuid(), type: name, data: json, metadata: json })
  const request = fc.record({
    call: fc.uuid(),
    stream: name,
    expected: fc.oneof(place, fc.constant('no stream' as const)),
    events: fc.array(
      fc.oneof(
        event,
        event.map((one) => ({ ...one, data: `"${'ä'.repeat(5_000)}"` })),
      ),
    ),
  })
  fc.assert(
    fc.property(request, (sent) => {
      const read = messages.BatchAppendReq.deserializeBinary(encodeAppend(sent))
      const options = read.getOptions()
      expect({
        call: read.getCorrelationId()?.getString(),
        stream: Buffer.from(options?.getStreamIdentifier()?.getStreamName_asU8() ?? []).toString(),
        expected: options?.hasNoStream() ? 'no stream' : BigInt(options?.getStreamPosition() ?? -1),
        isFinal: read.getIsFinal(),
        events: read.getProposedMessagesList().map((one) => ({
          serverId: one.getId()?.getString(),
          type: one.getMetadataMap().get('type'),
          contentType: one.getMetadataMap().get('content-type'),
          data: Buffer.from(one.getData_asU8()).toString(),
          metadata: Buffer.from(one.getCustomMetadata_asU8()).toString(),
        })),
      }).toEqual({
        ...sent,
        isFinal: true,
        events: sent.events.map((one) => ({ ...one, contentType: 'application/json' })),
      })
    }),
  )
})

describe('the answer to an append', () => {
  const call = '0e4b1a6c-6a39-4b1c-8b3c-1c59f5a0c1de'
  const answerOf = (response: InstanceType<typeof messages.BatchAppendResp>) => {
    response.setCorrelationId(new shared.UUID().setString(call))
    const decoded = decodeAppendAnswer(Buffer.from(response.serializeBinary()))
    expect(decoded.call).toBe(call)
    return decoded.answer
  }

  test('has the revision and the position', () =>
    fc.assert(
      fc.property(place, position, (revision, { commit, prepare }) => {
        const at = new shared.AllStreamPosition().setCommitPosition(String(commit)).setPreparePosition(String(prepare))
        const success = new messages.BatchAppendResp.Success().setCurrentRevision(String(revision)).setPosition(at)
        const answer = answerOf(new messages.BatchAppendResp().setSuccess(success))
        expect(answer).toEqual({ outcome: 'written', revision, position: { commit, prepare } })
      }),
    ))

  test('names the actual revision of a conflict, or none', () => {
    const wrong = (revision?: bigint) => {
      const details = new shared.WrongExpectedVersion()
      if (revision !== undefined) details.setCurrentStreamRevision(String(revision))
      return answerOf(refusal('WrongExpectedVersion', details))
    }
    expect([wrong(), wrong(0n), wrong(2n ** 60n)]).toEqual([
      { outcome: 'conflict', actual: undefined },
      { outcome: 'conflict', actual: 0n },
      { outcome: 'conflict', actual: 2n ** 60n },
    ])
  })

  test('has the reason of a refusal', () => {
    const size = new shared.MaximumAppendSizeExceeded().setMaxappendsize(1_000)
    expect([
      answerOf(refusal('MaximumAppendSizeExceeded', size)),
      answerOf(refusal('Timeout', new shared.Timeout())),
      answerOf(notHandled('not ready')),
      answerOf(sizeRefusal({ tooLarge: 'event', id: 'a', bytes: 700, bytesMax: 600 })),
      answerOf(new messages.BatchAppendResp()),
    ]).toEqual([
      { outcome: 'refused', reason: 'MaximumAppendSizeExceeded', message: 'Maximum Append Size of 1000 Exceeded.' },
      { outcome: 'refused', reason: 'Timeout', message: 'Timeout' },
      { outcome: 'refused', reason: 'Empty', message: 'Server Is Not Ready' },
      {
        outcome: 'refused',
        reason: 'MaximumAppendEventSizeExceeded',
        message: 'Maximum Append Event Size of 600 Exceeded.',
      },
      { outcome: 'refused', reason: 'Unknown', message: 'an answer without a result' },
    ])
  })
})

test('a read asks for what was meant', () => {
  const where = fc.oneof(
    fc.record({ stream: name, from: fc.oneof(place, fc.constantFrom('start' as const, 'end' as const)) }),
    fc.record({ from: fc.oneof(position, fc.constantFrom('start' as const, 'end' as const)) }),
  )
  const request = fc.record({
    where,
    direction: fc.constantFrom('forwards' as const, 'backwards' as const),
    count: fc.oneof(fc.integer({ min: 1, max: 2 ** 31 }), fc.constant('subscription' as const)),
    filter: fc.option(
      fc.record({
        by: fc.record({ on: fc.constantFrom('type' as const, 'stream' as const), regex: name }),
        window: fc.integer({ min: 1, max: 10_000 }),
      }),
      { nil: undefined },
    ),
  })
  fc.assert(
    fc.property(request, ({ where, filter, ...rest }) => {
      const sent = { ...where, ...rest, ...(filter && { filter }) } as ReadRequest
      const options = messages.ReadReq.deserializeBinary(encodeRead(sent)).getOptions()
      const [all, stream, by] = [options?.getAll(), options?.getStream(), options?.getFilter()]
      const at = all?.getPosition()
      const there = stream ?? all
      const exact = stream
        ? BigInt(stream.getRevision() || 0)
        : { commit: BigInt(at?.getCommitPosition() ?? 0), prepare: BigInt(at?.getPreparePosition() ?? 0) }
      expect({
        stream: stream && nameOf(stream.getStreamIdentifier()),
        from: there?.hasStart() ? 'start' : there?.hasEnd() ? 'end' : exact,
        direction: options?.getReadDirection() === 1 ? 'backwards' : 'forwards',
        count: options?.hasSubscription() ? 'subscription' : Number(options?.getCount()),
        filter: by && {
          by: {
            on: by.hasEventType() ? 'type' : 'stream',
            regex: (by.getEventType() ?? by.getStreamIdentifier())?.getRegex(),
          },
          window: by.getMax(),
        },
        asText: options?.getUuidOption()?.hasString(),
      }).toEqual({ stream: undefined, filter: undefined, ...sent, asText: true })
    }),
  )
})

describe('what is read', () => {
  const record = fc.record({
    // At 0 stands a record of the server itself.
    position: place.filter((at) => at > 0n),
    stream: name,
    revision: place,
    id: fc.uuid(),
    type: name,
    isJson: fc.boolean(),
    data: json,
    metadata: fc.oneof(
      json,
      fc.uuid().map((eventId) => JSON.stringify({ eventId })),
    ),
  })

  test('comes as the server has it, under the id that its caller gave it', () =>
    fc.assert(
      fc.property(record, (one) => {
        const [data, metadata] = [Buffer.from(one.data), Buffer.from(one.metadata)]
        const message = eventMessage({ ...one, data, metadata, end: 0n, createdMs: 1 })
        const item = decodeRead(Buffer.from(message.serializeBinary()))
        const parsed = JSON.parse(one.metadata)
        const { position, stream, revision, id, type, isJson } = one
        expect(item).toMatchObject({ kind: 'event' })
        expect(item.kind === 'event' && item.event).toEqual({
          ...{ stream, revision, type, isJson, serverId: id },
          id: typeof parsed?.eventId === 'string' ? parsed.eventId : id,
          data: isJson ? JSON.parse(one.data) : data,
          metadata: parsed,
          position: { commit: position, prepare: position },
        })
      }),
    ))

  test('may be a checkpoint, the end of catching up, or that there is no such stream', () =>
    fc.assert(
      fc.property(position, ({ commit, prepare }) => {
        const { ReadResp } = messages
        const at = new ReadResp.Checkpoint().setCommitPosition(String(commit)).setPreparePosition(String(prepare))
        const items = [
          new ReadResp().setCheckpoint(at),
          new ReadResp().setCaughtUp(new ReadResp.CaughtUp()),
          new ReadResp().setStreamNotFound(new ReadResp.StreamNotFound()),
          new ReadResp().setConfirmation(new ReadResp.SubscriptionConfirmation().setSubscriptionId('s')),
        ].map((message) => decodeRead(Buffer.from(message.serializeBinary())))
        expect(items).toEqual([
          { kind: 'checkpoint', position: { commit, prepare } },
          { kind: 'caught up' },
          { kind: 'no stream' },
          { kind: 'other' },
        ])
      }),
    ))

  test('is refused where it is no message: nothing is read forever, nothing from beyond the end', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const read of [decodeRead, decodeAppendAnswer])
          try {
            read(Buffer.from([0x0a, bytes.length, ...bytes]))
          } catch (error) {
            expect(error).toEqual(new Error('The bytes are no message.'))
          }
      }),
      { numRuns: 2_000 },
    ))
})
