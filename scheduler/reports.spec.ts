import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Commands, mustExecute, requestEnvelope } from '../commands/execute.ts'
import { newId } from '../commands/ids.ts'
import { type ErrorCode, Failure, type Refusal, refuse } from '../domain/errors.ts'
import type { JobOutcome } from '../infra/clusters/port.ts'
import { createLog } from '../infra/telemetry.ts'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { createReports } from './reports.ts'

const limits = { pauseMsMin: 1, pauseMsMax: 4, triesMsMax: 60 }

/** Returns time that passes by pauses alone, so that a busy machine takes none of the tries. */
const timeOfPauses = () => {
  let passedMs = 0
  const sleep = async (ms: number) => {
    passedMs += ms
  }
  return { clock: () => passedMs, sleep }
}

/** What a command meets: a refusal, or an error that is thrown. */
type Fault = Refusal | Error
/** Returns the fault that this command meets at this try, counted from 0 by type. */
type Faults = (type: string, tries: number) => Fault | undefined

/** Creates a job that runs, and reports of it whose commands meet faults. */
const runningJob = async (faults: Faults = () => undefined) => {
  const { rental, ...world } = await createActiveRental()
  const program = { command: ['true'], files: [], environment: {}, timeoutSeconds: 1, cpuCores: 1, memoryMib: 1 }
  const envelope = () => requestEnvelope(newId(), 'system:test', world.now())
  const submit = { type: 'SubmitJob', rental, renter: 'ada', submittedAt: world.now(), ...program } as const
  mustExecute(await world.commands.execute('job', 'job', submit, envelope()))
  const start = { type: 'StartJob', attempt: 1, cluster: 'here', startedAt: world.now() } as const
  mustExecute(await world.commands.execute('job', 'job', start, envelope()))
  const tries: Record<string, number> = {}
  const execute: Commands['execute'] = async (to, id, command, envelope) => {
    const count = tries[command.type] ?? 0
    tries[command.type] = count + 1
    const fault = faults(command.type, count)
    if (fault instanceof Error) throw fault
    return fault ?? world.commands.execute(to, id, command, envelope)
  }
  const lines: string[] = []
  const log = createLog({ level: 'warn', format: 'json' }, { write: (line) => lines.push(line) })
  const reports = createReports({
    commands: { ...world.commands, execute },
    heartbeats: steadyHeartbeats(),
    now: world.now,
    log,
    limits,
    time: timeOfPauses(),
  })
  const ended = async (outcome: JobOutcome, attempt = 1) => {
    const recorded: boolean[] = []
    reports.createWatcher('job', attempt, async (isRecorded) => void recorded.push(isRecorded)).ended(outcome)
    await reports.idle()
    return recorded
  }
  return { ...world, reports, ended, tries, lines, job: () => world.state('job', 'job') }
}

const exited = { ended: 'exited', exitCode: 0 } as const
const passing: Fault[] = [
  refuse('CONFLICT_UNRESOLVED'),
  new Failure('DATABASE_UNAVAILABLE'),
  new Failure('DATABASE_FULL'),
  new Error('lock timeout'),
]
const final: Fault[] = [
  new Failure('EVENT_INVALID'),
  refuse('INPUT_INVALID'),
  Object.assign(new Error('too large'), { code: '54000' }),
  Object.assign(new Error('no such character'), { code: '22P05' }),
]
const nameOf = (fault: Fault) => (fault instanceof Error ? fault.message.split('.')[0] : fault.refused)

describe('the end of an attempt', () => {
  test.each(passing.map((fault) => [nameOf(fault), fault] as const))(
    'is recorded after some tries: %s',
    async (_, fault) => {
      const world = await runningJob((type, tries) => (type === 'CompleteJob' && tries < 3 ? fault : undefined))
      expect(await world.ended(exited)).toEqual([true])
      expect(await world.job()).toMatchObject({ status: 'succeeded' })
      expect(world.tries).toEqual({ CompleteJob: 4 })
    },
  )

  test.each(passing.map((fault) => [nameOf(fault), fault] as const))(
    'is given up after a time, and that is logged: %s',
    async (_, fault) => {
      const world = await runningJob(() => fault)
      expect(await world.ended(exited)).toEqual([false])
      // After pauses of 1, 2, and 14 times 4 ms: the next one would end after 60 ms.
      expect(world.tries).toEqual({ CompleteJob: 17 })
      expect(world.lines.map((line) => JSON.parse(line).msg)).toEqual([
        'a report could not be recorded and is tried again',
        'a report could not be recorded and is given up',
      ])
    },
  )

  test.each(final.map((fault) => [nameOf(fault), fault] as const))(
    'that can never be stored ends the attempt with a code, at once: %s',
    async (_, fault) => {
      const world = await runningJob((type) => (type === 'CompleteJob' ? fault : undefined))
      expect(await world.ended(exited)).toEqual([true])
      const { history } = await world.commands.load('job', 'job')
      expect(history.at(-1)?.event).toMatchObject({ type: 'JobFailed', attempt: 1, code: 'JOB_REPORT_INVALID' })
      expect(world.tries).toEqual({ CompleteJob: 1, FailJob: 1 })
    },
  )

  test.each<ErrorCode>(['JOB_ATTEMPT_STALE', 'JOB_FINISHED', 'JOB_NOT_RUNNING', 'JOB_UNKNOWN'])(
    'that comes too late is left: %s',
    async (code) => {
      const world = await runningJob(() => refuse(code))
      expect(await world.ended(exited)).toEqual([true])
      expect(world.tries).toEqual({ CompleteJob: 1 })
    },
  )

  test('waits for the progress before it, and is not lost with it', async () => {
    const world = await runningJob((type) => (type === 'ReportProgress' ? new Failure('EVENT_INVALID') : undefined))
    const watcher = world.reports.createWatcher('job', 1, async () => undefined)
    watcher.progressed({ percent: 5, message: 'five' })
    watcher.ended(exited)
    await world.reports.idle()
    expect(await world.job()).toMatchObject({ status: 'succeeded' })
    expect(world.tries).toEqual({ ReportProgress: 1, CompleteJob: 1 })
  })

  test.each([
    ['no one has requested', false, 'the rented time is over'],
    ['its renter has requested', true, 'enough'],
  ])('at the end of the lease is a stop that %s, also of the last attempt', async (_, requested, reason) => {
    const world = await runningJob()
    const at = world.now()
    for (const attempt of [1, 2]) {
      const interrupt = { type: 'InterruptJob', attempt, reason: 'lost', interruptedAt: at } as const
      await world.reports.send('job', interrupt, `${attempt}`)
      const start = { type: 'StartJob', attempt: attempt + 1, cluster: 'here', startedAt: at } as const
      await world.reports.send('job', start, `${attempt}`)
    }
    if (requested) await world.reports.send('job', { type: 'RequestStop', reason, requestedAt: at })
    expect(await world.ended({ ended: 'expired' }, 3)).toEqual([true])
    const { history } = await world.commands.load('job', 'job')
    expect(history.slice(-3).map(({ event }) => event)).toEqual([
      { type: 'JobStarted', attempt: 3, cluster: 'here', startedAt: at },
      { type: 'JobStopRequested', reason, requestedAt: at },
      { type: 'JobStopped', attempt: 3, endedAt: at },
    ])
  })

  test('is in the log, whatever a job made its cluster say', async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 3_000 }),
      fc.constantFrom('\0', '\ud800', 'x'.repeat(2_000_000), '\udfff'.repeat(5_000)),
    )
    const outcome = fc.oneof(
      fc.record({
        ended: fc.constant('failed' as const),
        code: fc.constantFrom('JOB_TIMED_OUT', 'JOB_X'),
        message: text,
      }),
      fc.record({ ended: fc.constant('exited' as const), exitCode: fc.oneof(fc.integer(), fc.constant(Number.NaN)) }),
      fc.record({ ended: fc.constantFrom('lost' as const, 'stopped' as const, 'expired' as const) }),
    )
    await fc.assert(
      fc.asyncProperty(outcome, text, fc.double(), async (ended, message, percent) => {
        const world = await runningJob()
        const watcher = world.reports.createWatcher('job', 1, async () => undefined)
        watcher.progressed({ percent, message })
        expect(await world.ended(ended as JobOutcome)).toEqual([true])
        expect(await world.job()).not.toMatchObject({ status: 'running' })
        expect(world.lines.every((line) => line.length < 20_000)).toBe(true)
      }),
      { numRuns: 60 },
    )
  })
})

test('reports that cannot be recorded do not hold up a scheduler that stops', async () => {
  const world = await runningJob(() => new Failure('DATABASE_UNAVAILABLE'))
  world.reports.createWatcher('job', 1, async () => undefined).ended(exited)
  await world.reports.close()
  expect(world.tries.CompleteJob).toBeGreaterThan(0)
})

test('during an outage only the latest progress is kept', async () => {
  let out = true
  const world = await runningJob((type) =>
    out && type === 'ReportProgress' ? new Failure('DATABASE_UNAVAILABLE') : undefined,
  )
  const watcher = world.reports.createWatcher('job', 1, async () => undefined)
  for (let percent = 1; percent <= 50; percent++) watcher.progressed({ percent, message: `${percent}` })
  out = false
  watcher.ended(exited)
  await world.reports.idle()
  const { history } = await world.commands.load('job', 'job')
  const said = history.flatMap(({ event }) => (event.type === 'JobProgressed' ? [event.percent] : []))
  expect(said).toEqual([1, 50])
})
