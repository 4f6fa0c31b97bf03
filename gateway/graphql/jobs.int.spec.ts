import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { systemActor } from '../../commands/actor.ts'
import { mustExecute } from '../../commands/execute.ts'
import { newId } from '../../commands/ids.ts'
import type { Command } from '../../domain/job.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'

type User = Awaited<ReturnType<GatewayWorld['newUser']>>
let world: GatewayWorld
let renter: User
let rental: string

const refused = '... on Error { code details { name value } }'

beforeAll(async () => {
  world = await createGatewayWorld()
  renter = await world.newUser()
  await world.market.deposit(renter.wallet, 1_000_000_000n)
  const listing = newId()
  await world.market.list(listing, 1)
  const { data } = await renter.ask(
    'mutation ($input: RentGpuInput!) { rentGpu(input: $input) { ... on RentGpuSuccess { id } } }',
    { input: { listing, hours: 1, maxPricePerGpuHour: '4', idempotencyKey: 'rental' } },
  )
  rental = data.rentGpu.id
})
afterAll(() => world.close())

const submit = async (input: Record<string, unknown> = {}, user = renter) => {
  const { data } = await user.ask(
    `mutation ($input: SubmitJobInput!) { submitJob(input: $input) { ... on SubmitJobSuccess { id position job {
      status attempt percent command files { path content } environment { name value } timeoutSeconds cpuCores memoryMib
      rental { id } log { text nextOffset } } } ${refused} } }`,
    { input: { rental, command: ['node', 'a.js'], idempotencyKey: newId(), ...input } },
  )
  return data.submitJob
}
/** Sends a command as the scheduler does. */
const report = async (job: string, command: Command) => {
  const commandId = newId()
  const envelope = { commandId, correlationId: commandId, causationId: commandId, actor: systemActor('test') }
  const answer = await world.market.commands.execute('job', job, command, { ...envelope, time: world.market.now() })
  return String(mustExecute(answer).position)
}
const jobOf = async (user: Pick<User, 'ask'>, id: string, selection: string, at?: string) => {
  const { data, errors } = await user.ask(
    `query ($id: ID!, $at: Position) { job(id: $id, atLeast: $at) { ${selection} } }`,
    { id, at },
  )
  return errors?.[0]?.extensions.code ?? data.job
}

describe('a job', () => {
  test('is submitted with defaults for absent fields; the same key again is the same job', async () => {
    const input = {
      files: [{ path: 'a.js', content: 'console.log(1)' }],
      environment: [{ name: 'SEED', value: '7' }],
      idempotencyKey: 'job',
    }
    const first = await submit(input)
    expect(first.job).toEqual({
      status: 'queued',
      attempt: 0,
      percent: 0,
      command: ['node', 'a.js'],
      files: input.files,
      environment: input.environment,
      timeoutSeconds: 3600,
      cpuCores: 1,
      memoryMib: 1024,
      rental: { id: rental },
      log: { text: '', nextOffset: 0 },
    })
    expect(await submit(input)).toEqual(first)
    expect(await submit({ ...input, command: ['other'] })).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' })
  })

  test.each<[string, Record<string, unknown>]>([
    ['JOB_INVALID', { command: [] }],
    ['JOB_INVALID', { timeoutSeconds: 0 }],
    ['JOB_INVALID', { files: [{ path: '../escape', content: '' }] }],
    ['RENTAL_UNKNOWN', { rental: 'unknown' }],
    ['INPUT_INVALID', { idempotencyKey: '' }],
  ])('is refused with %s for %j', async (code, input) => {
    expect(await submit(input)).toMatchObject({ code })
  })

  test('is visible to its renter alone, with its progress and its log', async () => {
    const otherUser = await world.newUser()
    expect(await submit({}, otherUser)).toMatchObject({ code: 'NOT_YOURS' })
    const { id } = await submit()
    const at = world.market.now()
    await report(id, { type: 'StartJob', attempt: 1, cluster: 'process', startedAt: at })
    const position = await report(id, {
      type: 'ReportProgress',
      attempt: 1,
      percent: 12.5,
      message: 'loss 0.5',
      reportedAt: at,
    })
    world.jobLogs.set(`${id}/1`, 'one\ntwo\n')
    expect(
      await jobOf(renter, id, 'status percent message log(offset: 4, bytesMax: 3) { text nextOffset }', position),
    ).toEqual({
      status: 'running',
      percent: 12.5,
      message: 'loss 0.5',
      log: { text: 'two', nextOffset: 7 },
    })
    expect(await jobOf(otherUser, id, 'id')).toBe('NOT_YOURS')
    expect(await jobOf(renter, 'unknown', 'id')).toBe('JOB_UNKNOWN')
    for (const wrong of ['log(offset: -1) { text }', 'log(bytesMax: 0) { text }', 'log(bytesMax: 999999) { text }'])
      expect(await jobOf(renter, id, wrong)).toBe('INPUT_INVALID')
    const { data } = await renter.ask(
      'query ($rental: ID) { jobs(rental: $rental, status: running) { nodes { id } } }',
      { rental },
    )
    expect(data.jobs.nodes).toEqual([{ id }])
    expect((await otherUser.ask('{ jobs { nodes { id } } }')).data.jobs.nodes).toEqual([])
  })

  test('that fails shows its code', async () => {
    const { id } = await submit()
    await report(id, { type: 'StartJob', attempt: 1, cluster: 'process', startedAt: world.market.now() })
    const position = await report(id, {
      type: 'FailJob',
      attempt: 1,
      code: 'JOB_COMMAND_NOT_FOUND',
      message: 'no such program',
      endedAt: world.market.now(),
    })
    expect(await jobOf(renter, id, 'status code message', position)).toEqual({
      status: 'failed',
      code: 'JOB_COMMAND_NOT_FOUND',
      message: 'no such program',
    })
  })

  test('is stopped by its renter, not by another user', async () => {
    const stop = async (user: User, job: string) => {
      const { data } = await user.ask(
        `mutation ($input: StopJobInput!) { stopJob(input: $input) { ... on StopJobSuccess { id job { status stopRequested } } ${refused} } }`,
        { input: { job } },
      )
      return data.stopJob
    }
    const { id } = await submit()
    expect(await stop(await world.newUser(), id)).toMatchObject({ code: 'NOT_YOURS' })
    expect(await stop(renter, 'unknown')).toMatchObject({ code: 'JOB_UNKNOWN' })
    expect(await stop(renter, id)).toEqual({ id, job: { status: 'stopped', stopRequested: true } })
    expect(await stop(renter, id)).toMatchObject({ code: 'JOB_FINISHED' })
  })
})

test('jobProgress yields the job as it is, then each report', async () => {
  const { id } = await submit()
  const client = world.socket({ token: renter.token })
  const updates = client.iterate<{ jobProgress: { event: string; job: { status: string; percent: number } } }>({
    query: 'subscription ($job: ID!) { jobProgress(job: $job) { event job { status percent } } }',
    variables: { job: id },
  })
  const next = async () => {
    const { value } = await updates.next()
    const { event, job } = value.data.jobProgress
    return [event, job.status, job.percent]
  }
  expect(await next()).toEqual(['Snapshot', 'queued', 0])
  const at = world.market.now()
  await report(id, { type: 'StartJob', attempt: 1, cluster: 'process', startedAt: at })
  await report(id, { type: 'ReportProgress', attempt: 1, percent: 50, message: 'half', reportedAt: at })
  await report(id, { type: 'CompleteJob', attempt: 1, endedAt: at })
  expect([await next(), await next(), await next()]).toEqual([
    ['JobStarted', 'running', 0],
    ['JobProgressed', 'running', 50],
    ['JobSucceeded', 'succeeded', 100],
  ])
  await updates.return?.()
  await client.dispose()
})
