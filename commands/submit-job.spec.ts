import { describe, expect, test } from '@jest/globals'
import { isRefusal } from '../domain/errors.ts'
import { endRental } from '../processes/end-rental.ts'
import { createActiveRental } from '../testing/worlds/active-rental.ts'
import { steadyHeartbeats } from '../testing/worlds/heartbeats.ts'
import { userActor } from './actor.ts'
import { type JobRequest, submitJob } from './submit-job.ts'

const market = async () => {
  const { rental, ...world } = await createActiveRental()
  const request = (overrides: Partial<JobRequest> = {}): JobRequest => ({
    renter: 'ada',
    idempotencyKey: 'first',
    rental,
    command: ['node', 'train.js'],
    files: [{ path: 'train.js', content: '1' }],
    environment: { SEED: '7' },
    timeoutSeconds: 60,
    cpuCores: 1,
    memoryMib: 512,
    ...overrides,
  })
  const submit = async (overrides: Partial<JobRequest> = {}) => {
    const answer = await submitJob(world, request(overrides))
    if (isRefusal(answer)) throw new Error(answer.refused)
    return answer
  }
  const end = () => endRental({ ...world, heartbeats: steadyHeartbeats() }, rental, 'returned', userActor('ada'))
  const submitted = async () => {
    let count = 0
    for await (const { type } of world.store.readAll()) if (type === 'JobSubmitted') count++
    return count
  }
  return { ...world, rental, request, submit, end, submitted }
}

test('a job waits in the queue, with all it takes to run, in the story of its rental', async () => {
  const world = await market()
  const { job, events, state, position } = await world.submit()
  expect(state).toMatchObject({ status: 'queued', rental: world.rental, renter: 'ada' })
  const { renter, rental, idempotencyKey, ...program } = world.request()
  expect(events.map(({ event }) => event)).toEqual([
    { type: 'JobSubmitted', rental, renter, submittedAt: world.now(), ...program },
  ])
  expect(position).toBe(await world.store.head())
  const { history } = await world.commands.load('rental', world.rental)
  expect(events[0]?.correlationId).toBe(history[0]?.correlationId)
  expect(await world.state('job', job)).toEqual(state)
})

describe('the same key again', () => {
  test('is the same job', async () => {
    const world = await market()
    const first = await world.submit()
    world.pass(10)
    expect(await world.submit()).toMatchObject({ ...first, repeated: true })
    expect(await world.submitted()).toBe(1)
  })

  test('is the same job also at the same time', async () => {
    const world = await market()
    const answers = await Promise.all([world.submit(), world.submit()])
    expect(answers[0].job).toBe(answers[1].job)
    expect(await world.submitted()).toBe(1)
  })

  test('is the same job also after the rental has ended', async () => {
    const world = await market()
    const first = await world.submit()
    await world.end()
    expect(await world.submit()).toMatchObject({ job: first.job, repeated: true })
  })

  test('is not given away to another job', async () => {
    const world = await market()
    await world.submit()
    expect(await submitJob(world, world.request({ timeoutSeconds: 61 }))).toEqual({
      refused: 'IDEMPOTENCY_KEY_REUSED',
      details: { idempotencyKey: 'first' },
    })
    expect(await world.submitted()).toBe(1)
  })

  test('of another job is another job', async () => {
    const world = await market()
    const { job } = await world.submit()
    expect((await world.submit({ idempotencyKey: 'second' })).job).not.toBe(job)
    expect(await world.submitted()).toBe(2)
  })
})

describe('a job is refused', () => {
  test('without a rental', async () => {
    const world = await market()
    expect(await submitJob(world, world.request({ rental: 'none' }))).toEqual({
      refused: 'RENTAL_UNKNOWN',
      details: { rental: 'none' },
    })
  })

  test("on another renter's rental", async () => {
    const world = await market()
    expect(await submitJob(world, world.request({ renter: 'mallory' }))).toEqual({ refused: 'NOT_YOURS', details: {} })
  })

  test('on a rental that is over', async () => {
    const world = await market()
    await world.end()
    expect(await submitJob(world, world.request())).toEqual({
      refused: 'RENTAL_NOT_ACTIVE',
      details: { status: 'ended' },
    })
  })

  test('when it cannot be run', async () => {
    const world = await market()
    expect(await submitJob(world, world.request({ command: [] }))).toMatchObject({ refused: 'JOB_INVALID' })
    expect(await world.submitted()).toBe(0)
  })
})
