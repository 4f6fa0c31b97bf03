import { describe, expect, test } from '@jest/globals'
import { spec } from './decider.testing.ts'
import type { ErrorCode } from './errors.ts'
import * as job from './job.ts'

const { given } = spec(job)

const at = '2026-01-01T00:00:00.000Z'
const submit = {
  type: 'SubmitJob',
  rental: 'rental-1',
  renter: 'ada',
  submittedAt: at,
  command: ['node', 'train.js'],
  files: [{ path: 'data/train.js', content: 'print()' }],
  environment: { EPOCHS: '3' },
  timeoutSeconds: 60,
  cpuCores: 1,
  memoryMib: 512,
} satisfies job.Command
const start = (attempt = 1) =>
  ({ type: 'StartJob', attempt, cluster: 'here', startedAt: at }) as const satisfies job.Command
const progress = (percent: number, attempt = 1) =>
  ({ type: 'ReportProgress', attempt, percent, message: 'loss 0.1', reportedAt: at }) as const satisfies job.Command
const complete = (attempt = 1) => ({ type: 'CompleteJob', attempt, endedAt: at }) as const satisfies job.Command
const fail = (attempt = 1) =>
  ({
    type: 'FailJob',
    attempt,
    code: 'JOB_EXIT_NONZERO',
    message: 'exit code 1',
    endedAt: at,
  }) as const satisfies job.Command
const interrupt = (attempt = 1) =>
  ({ type: 'InterruptJob', attempt, reason: 'cluster lost', interruptedAt: at }) as const satisfies job.Command
const stop = { type: 'RequestStop', reason: 'enough', requestedAt: at } satisfies job.Command
const declareLost = (attempt = 1) =>
  ({
    type: 'DeclareJobLost',
    operator: 'olga',
    attempt,
    reason: 'burnt down',
    declaredAt: at,
  }) as const satisfies job.Command
const confirmStop = (attempt = 1) => ({ type: 'ConfirmStop', attempt, endedAt: at }) as const satisfies job.Command

const submitted = { ...submit, type: 'JobSubmitted' } as const
const started = (attempt = 1) => ({ ...start(attempt), type: 'JobStarted' }) as const
const progressed = (percent: number) => ({ ...progress(percent), type: 'JobProgressed' }) as const
const succeeded = { ...complete(), type: 'JobSucceeded' } as const
const failed = (attempt = 1) => ({ ...fail(attempt), type: 'JobFailed' }) as const
const interrupted = (attempt = 1) => ({ ...interrupt(attempt), type: 'JobInterrupted' }) as const
const stopRequested = { ...stop, type: 'JobStopRequested' } as const
const stopped = (attempt = 1) => ({ ...confirmStop(attempt), type: 'JobStopped' }) as const

const running = [submitted, started()] as const
const reports = (attempt: number) => [progress(1, attempt), complete(attempt), interrupt(attempt), confirmStop(attempt)]
const everyOther: job.Command[] = [start(), stop, fail(), ...reports(1)]

describe('none', () => {
  describe('SubmitJob', () => {
    test('queues the job', () => given().when(submit).then(submitted))
    const programRule = 'a program and up to 99 arguments'
    const outside = 'a path below the working folder'
    const oneEach = 'one file, and no folder, per path'
    const variable = 'names of letters, digits and _'
    const file = (path: string, content = '') => ({ files: [{ path, content }] })
    const files = (...paths: string[]) => ({ files: paths.map((path) => ({ path, content: '' })) })
    test.each<[string, Partial<job.Program>, Record<string, string>]>([
      ['no program', { command: [] }, { command: programRule }],
      ['a blank program', { command: [' ', 'x'] }, { command: programRule }],
      ['too many arguments', { command: Array<string>(101).fill('x') }, { command: programRule }],
      ['files too large', file('a', 'x'.repeat(65_537)), { files: 'at most 65536 bytes together' }],
      ['a file without a name', file(''), { file: '', takes: outside }],
      ['a file at the root', file('/etc/passwd'), { file: '/etc/passwd', takes: outside }],
      ['a file above the folder', file('a/../../b'), { file: 'a/../../b', takes: outside }],
      ['a folder as a file', file('a/'), { file: 'a/', takes: outside }],
      ['no file but the folder itself', file('./.'), { file: './.', takes: outside }],
      ['a name that no file can have', file('漢'.repeat(86)), { file: '漢'.repeat(86), takes: outside }],
      ['the same file twice', files('a/./b', 'a//b'), { file: 'a/b', takes: oneEach }],
      ['a file that is also a folder', files('a/b', 'a-b', 'a'), { file: 'a', takes: oneEach }],
      ['a variable with a sign in its name', { environment: { 'A=B': '' } }, { environment: 'A=B', takes: variable }],
      [
        'a variable that would be lost',
        { environment: JSON.parse('{"__proto__":"x"}') },
        { environment: '__proto__', takes: variable },
      ],
      ['no time', { timeoutSeconds: 0 }, { timeoutSeconds: '0' }],
      ['no core', { cpuCores: 0 }, { cpuCores: '0' }],
      ['no memory', { memoryMib: 0 }, { memoryMib: '0' }],
    ])('does not take %s', (_, program, details) =>
      given()
        .when({ ...submit, ...program })
        .refuses('JOB_INVALID', details),
    )
    test.each<[string, Partial<job.Program>]>([
      ['as many arguments as allowed', { command: Array<string>(100).fill('x') }],
      ['files as large as allowed', file('a', 'x'.repeat(65_536))],
      ['dots within a name', file('a..b/..c')],
      ['the longest name', file(`a/${'漢'.repeat(85)}`)],
      ['files beside each other', files('a/b', 'a/c', 'a-b')],
      ['variables', { environment: { _A1: '', b: 'x' } }],
      ['the least of everything', { timeoutSeconds: 1, cpuCores: 1, memoryMib: 1, files: [], environment: {} }],
    ])('takes %s', (_, program) =>
      given()
        .when({ ...submit, ...program })
        .then({ ...submitted, ...program }),
    )
    test('adds up the files', () => {
      const half = 'x'.repeat(40_000)
      const files = [
        { path: 'a', content: half },
        { path: 'b', content: half },
      ]
      given()
        .when({ ...submit, files })
        .refuses('JOB_INVALID', { files: 'at most 65536 bytes together' })
    })
  })
})

describe('queued', () => {
  test('has no attempt yet', () =>
    expect(given(submitted).state).toStrictEqual({
      status: 'queued',
      rental: 'rental-1',
      renter: 'ada',
      attempt: 0,
      stopRequested: false,
    }))
  test('StartJob begins the first attempt', () => given(submitted).when(start()).then(started()))
  test.each([0, 2])('StartJob with attempt %s is refused', (attempt) =>
    given(submitted)
      .when(start(attempt))
      .refuses('JOB_ATTEMPT_STALE', { attempt: String(attempt) }),
  )
  test('StartJob is refused once a stop was requested', () =>
    given(submitted, stopRequested).when(start()).refuses('JOB_NOT_QUEUED'))
  test('RequestStop stops at once: no attempt is running to confirm it', () =>
    given(submitted).when(stop).then(stopRequested, stopped(0)))
  test('RequestStop again is nothing new', () => given(submitted, stopRequested).when(stop).then())
  test('FailJob records that it could not even start', () => given(submitted).when(fail(1)).then(failed(1)))
  test.each([fail(0), fail(2), ...reports(1)])('$type of attempt $attempt is refused', (command) =>
    given(submitted).when(command).refuses('JOB_NOT_RUNNING'),
  )
  describe('after an interruption', () => {
    const again = given(...running, progressed(40), interrupted())
    test('keeps the count of attempts, and no progress', () =>
      expect(again.state).toStrictEqual({
        status: 'queued',
        rental: 'rental-1',
        renter: 'ada',
        attempt: 1,
        stopRequested: false,
      }))
    test('StartJob begins the next attempt', () => again.when(start(2)).then(started(2)))
    test('StartJob of the lost attempt is refused', () =>
      again.when(start(1)).refuses('JOB_ATTEMPT_STALE', { attempt: '1' }))
    test('RequestStop stops under the last attempt', () => again.when(stop).then(stopRequested, stopped(1)))
  })
})

describe('running', () => {
  test('begins at zero percent', () =>
    expect(given(...running).state).toStrictEqual({
      status: 'running',
      rental: 'rental-1',
      renter: 'ada',
      attempt: 1,
      stopRequested: false,
      percent: 0,
    }))
  test.each([...reports(1), fail(1)])('$type of a lost attempt is refused', (command) =>
    given(...running, interrupted(), started(2))
      .when(command)
      .refuses('JOB_ATTEMPT_STALE', { attempt: '1', current: '2' }),
  )

  describe('ReportProgress', () => {
    test.each([0, 12.5, 100])('of %s percent is recorded', (percent) =>
      given(...running)
        .when(progress(percent))
        .then(progressed(percent)),
    )
    test.each([
      [101, 100],
      [-1, 0],
    ])('of %s percent counts as %s', (percent, counted) =>
      given(...running)
        .when(progress(percent))
        .then(progressed(counted)),
    )
    test('at the same percent is recorded', () =>
      given(...running, progressed(40))
        .when(progress(40))
        .then(progressed(40)))
    test.each([39, Number.NaN])('of %s percent after 40 adds nothing', (percent) =>
      given(...running, progressed(40))
        .when(progress(percent))
        .then(),
    )
  })

  test('CompleteJob succeeds', () =>
    given(...running)
      .when(complete())
      .then(succeeded))
  test('FailJob fails with its reason', () =>
    given(...running)
      .when(fail())
      .then(failed()))
  test('RequestStop asks the attempt to stop', () =>
    given(...running)
      .when(stop)
      .then(stopRequested))
  test('RequestStop again is nothing new', () =>
    given(...running, stopRequested)
      .when(stop)
      .then())
  test('ConfirmStop stops', () =>
    given(...running, stopRequested)
      .when(confirmStop())
      .then(stopped()))
  test('ConfirmStop with a reason stops for that reason', () =>
    given(...running)
      .when({ ...confirmStop(), reason: 'time is over' })
      .then({ ...stopRequested, reason: 'time is over' }, stopped()))
  test('ConfirmStop with a reason leaves the one for which a stop was requested', () =>
    given(...running, stopRequested)
      .when({ ...confirmStop(), reason: 'time is over' })
      .then(stopped()))

  describe('DeclareJobLost', () => {
    test('fails a job that was asked to stop and does not answer, with the reason of the operator', () =>
      given(...running, stopRequested)
        .when(declareLost())
        .then({ type: 'JobFailed', attempt: 1, code: 'JOB_LOST', message: 'burnt down', endedAt: at }))
    test('is refused while no one has asked it to stop', () =>
      given(...running)
        .when(declareLost())
        .refuses('JOB_STOP_NOT_REQUESTED'))
    test('is refused for an attempt that is over', () =>
      given(...running, interrupted(), started(2), stopRequested)
        .when(declareLost())
        .refuses('JOB_ATTEMPT_STALE', { attempt: '1', current: '2' }))
  })

  describe('InterruptJob', () => {
    test('puts the job back in the queue', () =>
      given(...running)
        .when(interrupt())
        .then(interrupted()))
    test('stops it when a stop was requested', () =>
      given(...running, stopRequested)
        .when(interrupt())
        .then(interrupted(), stopped()))
    const second = [...running, interrupted(), started(2)] as const
    test('puts it back as long as attempts are left', () =>
      given(...second)
        .when(interrupt(2))
        .then(interrupted(2)))
    test('fails it with the last attempt', () =>
      given(...second, interrupted(2), started(job.attemptsMax))
        .when(interrupt(3))
        .then(interrupted(3), { ...failed(3), code: 'JOB_INTERRUPTED', message: 'cluster lost' }))
  })
})

describe.each<[job.State['status'], job.Event, ErrorCode]>([
  ['succeeded', succeeded, 'JOB_FINISHED'],
  ['failed', failed(), 'JOB_FINISHED'],
  ['stopped', stopped(), 'JOB_FINISHED'],
])('%s', (status, last, code) => {
  const over = given(...running, last)
  test('keeps the attempt', () =>
    expect(over.state).toStrictEqual({
      status,
      rental: 'rental-1',
      renter: 'ada',
      attempt: 1,
      stopRequested: false,
    }))
  test.each(everyOther)('$type is refused', (command) => over.when(command).refuses(code, { status }))
  test('nothing can have followed', () =>
    over.cannotBeFollowedBy(
      submitted,
      started(2),
      progressed(1),
      succeeded,
      failed(),
      interrupted(),
      stopRequested,
      stopped(),
    ))
})

test('a history that could not have happened is called corrupt', () => {
  given().cannotBeFollowedBy(started(), progressed(1), succeeded, failed(), interrupted(), stopRequested, stopped())
  given(submitted).cannotBeFollowedBy(submitted, progressed(1), interrupted())
  given(...running).cannotBeFollowedBy(submitted, started())
})
