import { expect, test } from '@jest/globals'
import { Failure } from '../../../domain/errors.ts'
import { isNotLeader, refusalOf, toStoreFailure } from './errors.ts'

/** Errors as the client throws them: its own type around the error of the transport, or the latter itself. */
const error = (more: { code?: number; type?: string; exception?: string; raw?: number }, message = 'no') =>
  Object.assign(new Error(message), {
    ...(more.code !== undefined && { code: more.code }),
    ...(more.type !== undefined && { type: more.type }),
    ...(more.exception !== undefined && { metadata: { get: () => [more.exception] } }),
    ...(more.raw !== undefined && { _raw: { code: more.raw } }),
  })

test.each<[string, Error, string | undefined]>([
  ['cancelled', error({ code: 1 }), 'DATABASE_UNAVAILABLE'],
  ['deadline exceeded', error({ code: 4, type: 'deadline-exceeded' }), 'DATABASE_UNAVAILABLE'],
  ['timed out in the server', error({ code: 10 }), 'DATABASE_UNAVAILABLE'],
  ['a stream reset by the transport', error({ code: 13 }), 'DATABASE_UNAVAILABLE'],
  ['unavailable, by the error of the transport', error({ raw: 14 }), 'DATABASE_UNAVAILABLE'],
  ['an unexpected result', error({ code: 2 }, 'Unexpected OperationResult'), 'DATABASE_UNAVAILABLE'],
  ['a slow subscriber', error({ code: 10 }, 'Operation timed out: Consumer too slow'), 'DATABASE_UNAVAILABLE'],
  ['a server that is not ready', error({ code: 14 }, 'Server Is Not Ready'), 'DATABASE_UNAVAILABLE'],
  ['data that was lost on the way', error({ code: 15 }), 'DATABASE_UNAVAILABLE'],
  ['not the leader', error({ code: 5, exception: 'not-leader' }), 'DATABASE_UNAVAILABLE'],
  ['no leader', error({ code: 2 }, 'No leader info available in response'), 'DATABASE_UNAVAILABLE'],
  ['no node found', error({}, 'Failed to discover after 10 attempts.'), 'DATABASE_UNAVAILABLE'],
  ['too large', error({ code: 3, exception: 'maximum-append-size-exceeded' }), 'EVENT_INVALID'],
  ['one event too large', error({ code: 3, exception: 'maximum-append-event-size-exceeded' }), 'EVENT_INVALID'],
  ['larger than a message may be', error({ code: 8 }, 'Received message larger than max (9 vs. 8)'), 'EVENT_INVALID'],
  [
    'larger than the server takes',
    error({ code: 8 }, 'Received message exceeds the maximum configured message size.'),
    'EVENT_INVALID',
  ],
  [
    'a server that has too much to do',
    error({ code: 8 }, 'Bandwidth exhausted or memory limit'),
    'DATABASE_UNAVAILABLE',
  ],
  ['denied', error({ code: 7, exception: 'access-denied' }), 'CONFIG_INVALID'],
  ['not authenticated', error({ code: 16 }), 'CONFIG_INVALID'],
  ['a position beyond the log', error({ code: 3 }, 'Trying to read from an invalid position.'), 'POSITION_FOREIGN'],
  ['a call that the server does not have', error({ code: 12 }), undefined],
  ['a precondition that nobody expected', error({ code: 9 }), undefined],
])('%s', (_, thrown, code) => {
  const failure = toStoreFailure(thrown, { stream: 's', position: '7' })
  expect(failure instanceof Failure ? failure.code : undefined).toBe(code)
  if (code === undefined) expect(failure).toBe(thrown)
})

test('a call without a position cannot have a foreign one, and a failure is returned unchanged', () => {
  const thrown = error({ code: 3 }, 'Trying to read from an invalid position.')
  expect(toStoreFailure(thrown)).toBe(thrown)
  const failure = new Failure('EVENT_INVALID')
  expect(toStoreFailure(failure)).toBe(failure)
})

test('an error of a node that is not the leader is recognized by name', () => {
  expect([error({ exception: 'not-leader' }), error({ type: 'not-leader' }), error({}), 'no'].map(isNotLeader)).toEqual(
    [true, true, false, false],
  )
})

test.each([
  ['AccessDenied', 'CONFIG_INVALID'],
  ['MaximumAppendSizeExceeded', 'EVENT_INVALID'],
  ['MaximumAppendEventSizeExceeded', 'EVENT_INVALID'],
  ['StreamDeleted', 'STREAM_DAMAGED'],
  ['Timeout', 'DATABASE_UNAVAILABLE'],
  ['Unknown', 'DATABASE_UNAVAILABLE'],
  ['InvalidTransaction', 'DATABASE_UNAVAILABLE'],
  ['Empty', 'DATABASE_UNAVAILABLE'],
  ['BadRequest', undefined],
])('an append that the server refuses with %s', (reason, code) => {
  const failure = toStoreFailure(refusalOf({ reason, message: 'Server Is Not Ready' }), { stream: 's' })
  expect(failure instanceof Failure ? failure.code : undefined).toBe(code)
})
