import { expect, test } from '@jest/globals'
import { Failure } from '../../domain/errors.ts'
import { isConnectionError, toFailure } from './errors.ts'

const errorWith = (code: string | undefined, message = 'x') => Object.assign(new Error(message), { code })

test.each(['ECONNREFUSED', 'ECONNRESET', '57P01', '57P02', '57P03', '08006', '08P01', '53300', '25006', '57P05'])(
  '%s is about the connection',
  (code) => expect(isConnectionError(errorWith(code))).toBe(true),
)

test.each(['Connection terminated unexpectedly', 'timeout exceeded when trying to connect'])(
  '"%s" is about the connection, though it has no code',
  (message) => expect(isConnectionError(errorWith(undefined, message))).toBe(true),
)

test.each(['23505', '42P01', '40001', '57014', '28P01'])('%s is about the statement', (code) => {
  const error = errorWith(code, 'Connection terminated is in the message')
  expect(isConnectionError(error)).toBe(false)
  expect(toFailure(error, 'perhaps')).toBe(error)
})

test('a failure shows whether the statement was sent, and keeps its cause', () => {
  const error = errorWith('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:5432')
  const failure = toFailure(error, 'no') as Failure
  expect([failure.code, failure.details, failure.cause]).toEqual([
    'DATABASE_UNAVAILABLE',
    { reason: 'connect ECONNREFUSED 127.0.0.1:5432', sent: 'no' },
    error,
  ])
  expect(toFailure(failure, 'perhaps')).toBe(failure)
})

test('a failure of a statement in a transaction is about the connection, as its cause is', () => {
  for (const [code, isConnection] of [
    ['25006', true],
    ['53100', false],
  ] as const)
    expect(isConnectionError(toFailure(errorWith(code), 'perhaps'))).toBe(isConnection)
  expect(isConnectionError(new Failure('POSITION_FOREIGN', {}, errorWith('25006')))).toBe(false)
})

test('a full disk has its own failure', () => {
  const error = errorWith('53100', 'could not extend file')
  expect(toFailure(error, 'perhaps')).toMatchObject({
    code: 'DATABASE_FULL',
    details: { reason: 'could not extend file' },
  })
})

test('a value that is no error is no error of the connection', () => expect(isConnectionError(undefined)).toBe(false))
