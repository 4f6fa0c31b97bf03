import { expect, test } from '@jest/globals'
import { type ErrorCode, errors, Failure } from '../domain/errors.ts'
import { failedStartCommandOf } from './failed-start.ts'

test('a reason names no path of the machine, whatever the cluster threw', () => {
  const path = '/srv/platform/jobs/7/1/spec.json'
  const system = Object.assign(new Error(`EISDIR: illegal operation on a directory, open '${path}'`), {
    code: 'EISDIR',
  })
  const codes = (Object.keys(errors) as ErrorCode[]).filter(
    (code) => code !== 'JOB_INVALID' && code !== 'JOB_ISOLATION_MISSING',
  )
  const thrown = [system, path, undefined, ...codes.map((code) => new Failure(code, { folder: path, reason: path }))]
  for (const error of thrown) {
    const command = failedStartCommandOf(1, error, '2026-01-01T00:00:00.000Z')
    expect(command.type).toBe('InterruptJob')
    expect(JSON.stringify(command)).not.toContain('/srv')
  }
})

test('a job that no cluster can run says what is wrong with it', () => {
  const failure = new Failure('JOB_INVALID', { 'files.path': '../outside' })
  expect(failedStartCommandOf(1, failure, '2026-01-01T00:00:00.000Z')).toMatchObject({
    ...{ type: 'FailJob', code: 'JOB_INVALID', message: expect.stringContaining('../outside') },
  })
})
