import { describe, expect, test } from '@jest/globals'
import type { Event } from '../domain/job.ts'
import { at, rowsOf, stampsOf } from './engine/log.testing.ts'
import { jobs } from './jobs.ts'

const program = {
  command: ['python3', 'train.py'],
  files: [{ path: 'train.py', content: 'print(1)' }],
  environment: { SEED: '7' },
  timeoutSeconds: 600,
  cpuCores: 1,
  memoryMib: 512,
}
const submitted: Event = { type: 'JobSubmitted', rental: 'r1', renter: '0xr', ...program, submittedAt: at(0) }
const started = (attempt: number): Event => ({
  type: 'JobStarted',
  attempt,
  cluster: 'process',
  startedAt: at(attempt),
})
const half: Event = { type: 'JobProgressed', attempt: 1, percent: 50.5, message: 'loss 0.1', reportedAt: at(2) }

const queued = {
  id: 'j1',
  rental: 'r1',
  renter: '0xr',
  ...program,
  status: 'queued',
  attempt: 0,
  percent: 0,
  message: '',
  code: null,
  cluster: null,
  stopRequested: false,
  graceSeconds: null,
  submittedAt: at(0),
  startedAt: null,
  endedAt: null,
}
const running = { ...queued, status: 'running', attempt: 1, cluster: 'process', startedAt: at(1) }
const halfway = { ...running, percent: 50.5, message: 'loss 0.1' }
const rows = (...events: Event[]) => rowsOf(jobs, 'job', 'j1', submitted, ...events)

describe('a job', () => {
  test('waits with its whole program', async () => expect(await rows()).toEqual([{ ...queued, ...stampsOf(0) }]))

  test('runs', async () => expect(await rows(started(1))).toEqual([{ ...running, ...stampsOf(1) }]))

  test('reports', async () => expect(await rows(started(1), half)).toEqual([{ ...halfway, ...stampsOf(2) }]))

  test('succeeds', async () =>
    expect(await rows(started(1), half, { type: 'JobSucceeded', attempt: 1, endedAt: at(9) })).toEqual([
      { ...halfway, status: 'succeeded', percent: 100, endedAt: at(9), ...stampsOf(3) },
    ]))

  test('fails before it could start, under the attempt it would have had', async () =>
    expect(
      await rows({ type: 'JobFailed', attempt: 1, code: 'JOB_COMMAND_NOT_FOUND', message: 'nope', endedAt: at(9) }),
    ).toEqual([
      {
        ...queued,
        status: 'failed',
        attempt: 1,
        code: 'JOB_COMMAND_NOT_FOUND',
        message: 'nope',
        endedAt: at(9),
        ...stampsOf(1),
      },
    ]))

  test('waits again when its cluster was lost, and begins anew', async () => {
    const interrupted: Event = { type: 'JobInterrupted', attempt: 1, reason: 'cluster lost', interruptedAt: at(5) }
    const waiting = { ...running, status: 'queued', message: 'cluster lost', cluster: null }
    expect(await rows(started(1), half, interrupted)).toEqual([{ ...waiting, ...stampsOf(3) }])
    expect(await rows(started(1), half, interrupted, started(2))).toEqual([
      { ...running, attempt: 2, startedAt: at(2), ...stampsOf(4) },
    ])
  })

  test('is stopped', async () => {
    const asked: Event = { type: 'JobStopRequested', reason: 'enough', requestedAt: at(5) }
    expect(await rows(started(1), asked)).toEqual([{ ...running, stopRequested: true, ...stampsOf(2) }])
    expect(await rows(started(1), asked, { type: 'JobStopped', attempt: 1, endedAt: at(6) })).toEqual([
      { ...running, stopRequested: true, status: 'stopped', endedAt: at(6), ...stampsOf(3) },
    ])
  })
})
