import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { migrateOperations } from '../../infra/postgres.ts'
import { startTaskQueue, type TaskQueue } from '../../infra/task-queue.ts'
import { eventually } from '../../testing/eventually.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'
import { silentLog } from '../../testing/worlds/silent-log.ts'

type User = Awaited<ReturnType<GatewayWorld['newUser']>>
let world: GatewayWorld
let operator: User
let queue: TaskQueue
/** What the handler `walk` was called with; it fails while `broken`. */
const calls: unknown[] = []
let isBroken = true

beforeAll(async () => {
  const account = privateKeyToAccount(generatePrivateKey())
  const privileged = { operators: [account.address.toLowerCase()], auditors: [], analysts: [] }
  world = await createGatewayWorld({ services: () => ({ privileged }) })
  operator = await world.newUser(account)
  await migrateOperations(world.database)
  const walk = async (payload: unknown) => {
    calls.push(payload)
    if (isBroken) throw new Error('no such hold')
  }
  const { databaseUrl: url, database } = world
  queue = await startTaskQueue({ url, database, log: silentLog, handlers: { walk }, concurrency: 1, pollMs: 100 })
})
afterAll(async () => {
  await queue.close()
  await world.close()
})

const parkedQuery = '{ parkedTasks { key task payload attempts error since } }'
const decisionsQuery = '{ parkedTaskDecisions { decision by reason at task { key error attempts } } }'
const retryMutation = `mutation ($input: RetryParkedTaskInput!) { retryParkedTask(input: $input) {
  ... on RetryParkedTaskSuccess { task { key attempts } } ... on Error { code details { name value } } } }`
const giveUpMutation = `mutation ($input: GiveUpParkedTaskInput!) { giveUpParkedTask(input: $input) {
  ... on GiveUpParkedTaskSuccess { task { key attempts } } ... on Error { code details { name value } } } }`

const key = 'walk:settle:r-1:7'
const payload = { process: 'settle', id: 'r-1', revision: '7' }
const parked = async () => (await operator.ask(parkedQuery)).data.parkedTasks

/** Lets a task fail at its last attempt. */
beforeEach(async () => {
  isBroken = true
  calls.length = 0
  await queue.schedule('walk', payload, { key, runAt: new Date(Date.now() + 3_600_000) })
  const [last] = await world.database.query<{ id: bigint }>(
    'test.last',
    `select id from jobs.reschedule_jobs((select array_agg(id) from jobs.jobs where key = $1), attempts => 24, run_at => now())`,
    [key],
  )
  expect(last).toBeDefined()
  await eventually('the task to be parked', async () => (await parked()).length === 1)
})

test('a task that has failed for good is listed with its error, counted at /status and in the metrics', async () => {
  expect(await parked()).toEqual([
    {
      key,
      task: 'walk',
      payload: expect.any(String),
      attempts: 25,
      error: 'no such hold',
      since: expect.any(String),
    },
  ])
  const [task] = await parked()
  expect(JSON.parse(task.payload)).toEqual(payload)
  await eventually('the counts to be new', async () => {
    const status = (await (await fetch(`${world.url}/status`)).json()) as { parkedTasks: unknown }
    return JSON.stringify(status.parkedTasks) === '{"walk":1}'
  })
  expect(await (await fetch(`${world.url}/metrics`)).text()).toContain('tasks_parked{task="walk"} 1')
})

describe('an operator', () => {
  test('has it run again, with all of its attempts, and that is recorded', async () => {
    isBroken = false
    const { data } = await operator.ask(retryMutation, { input: { key, reason: 'the hold was repaired' } })
    expect(data.retryParkedTask).toEqual({ task: { key, attempts: 25 } })
    await eventually('the task to run', () => calls.length === 2)
    expect(calls).toEqual([payload, payload])
    expect(await parked()).toEqual([])
    const decisions = (await operator.ask(decisionsQuery)).data.parkedTaskDecisions
    expect(decisions[0]).toEqual({
      decision: 'RETRY',
      by: operator.wallet,
      reason: 'the hold was repaired',
      at: expect.any(String),
      task: { key, error: 'no such hold', attempts: 25 },
    })
  })

  test('has one run again that an outage had given more attempts, with as many as at first', async () => {
    await world.database.query('test.outage', 'update jobs._private_jobs set attempts = 900, max_attempts = 900')
    await operator.ask(retryMutation, { input: { key, reason: 'the outage is over' } })
    await eventually('the task to run', () => calls.length === 2)
    const left = 'select attempts::int as attempts, max_attempts::int as most, locked_at from jobs.jobs where key = $1'
    const read = () => world.database.query<{ locked_at: Date | null }>('test.left', left, [key])
    await eventually('its failure to be stored', async () => (await read())[0]?.locked_at === null)
    expect(await read()).toMatchObject([{ attempts: 1, most: 25 }])
  })

  test('gives it up, and the reason stays, up to 1,000 characters', async () => {
    const reason = 'paid by hand'.padEnd(1_000, '.')
    const input = { key, reason }
    expect((await operator.ask(giveUpMutation, { input })).data.giveUpParkedTask).toEqual({
      task: { key, attempts: 25 },
    })
    expect(await parked()).toEqual([])
    const decisions = (await operator.ask(decisionsQuery)).data.parkedTaskDecisions
    expect(decisions[0]).toMatchObject({ decision: 'GIVE_UP', by: operator.wallet, reason })
    expect((await operator.ask(giveUpMutation, { input })).data.giveUpParkedTask).toMatchObject({
      code: 'PARKED_TASK_UNKNOWN',
    })
  })

  test('needs a reason to give it up', async () => {
    for (const reason of [' ', 'x'.repeat(1_001)])
      expect((await operator.ask(giveUpMutation, { input: { key, reason } })).data.giveUpParkedTask).toMatchObject({
        code: 'INPUT_INVALID',
      })
    expect(await parked()).toHaveLength(1)
  })

  test('decides once: of two at the same moment one is refused, and one is recorded', async () => {
    isBroken = false
    const before = (await operator.ask(decisionsQuery)).data.parkedTaskDecisions.length
    const answers = await Promise.all([
      operator.ask(retryMutation, { input: { key } }),
      operator.ask(giveUpMutation, { input: { key, reason: 'no' } }),
    ])
    const codes = answers.map(({ data }) => (data.retryParkedTask ?? data.giveUpParkedTask).code ?? 'done')
    expect(codes.sort()).toEqual(['PARKED_TASK_UNKNOWN', 'done'])
    expect((await operator.ask(decisionsQuery)).data.parkedTaskDecisions).toHaveLength(before + 1)
  })
})

test('nobody else sees or decides anything', async () => {
  const stranger = await world.newUser()
  for (const [user, code] of [
    [stranger, 'PRIVILEGE_NEEDED'],
    [world, 'NOT_SIGNED_IN'],
  ] as const) {
    for (const query of [parkedQuery, decisionsQuery])
      expect((await user.ask(query)).errors).toMatchObject([{ extensions: { code } }])
    const input = { key, reason: 'mine' }
    expect((await user.ask(retryMutation, { input })).data.retryParkedTask).toMatchObject({ code })
    expect((await user.ask(giveUpMutation, { input })).data.giveUpParkedTask).toMatchObject({ code })
  }
  expect(await parked()).toHaveLength(1)
})
