import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { systemActor } from '../../commands/actor.ts'
import { mustExecute, requestEnvelope } from '../../commands/execute.ts'
import { newId } from '../../commands/ids.ts'
import { emptyMap } from '../../domain/persistent-map.ts'
import { completeEnd, jobEnded } from '../../processes/end-rental.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'
import { steadyHeartbeats } from '../../testing/worlds/heartbeats.ts'

type User = Awaited<ReturnType<GatewayWorld['newUser']>>
let world: GatewayWorld
let operator: User
let auditor: User
let renter: User
beforeAll(async () => {
  const accounts = [privateKeyToAccount(generatePrivateKey()), privateKeyToAccount(generatePrivateKey())] as const
  const [operators, auditors] = accounts.map(({ address }) => [address.toLowerCase()])
  world = await createGatewayWorld({
    services: () => ({ privileged: { operators: operators ?? [], auditors: auditors ?? [], analysts: [] } }),
  })
  operator = await world.newUser(accounts[0])
  auditor = await world.newUser(accounts[1])
  renter = await world.newUser()
  await world.market.deposit(renter.wallet, 100_000_000n)
})
afterAll(() => world.close())

/** Rents the only GPU of a new listing, and starts a job on a cluster that will never report. */
const rentWithJob = async () => {
  const listing = newId()
  await world.market.list(listing, 1)
  const rented = await renter.ask(
    'mutation ($input: RentGpuInput!) { rentGpu(input: $input) { ... on RentGpuSuccess { id } } }',
    { input: { listing, hours: 1, maxPricePerGpuHour: '4', idempotencyKey: newId() } },
  )
  const rental: string = rented.data.rentGpu.id
  const submitted = await renter.ask(
    'mutation ($input: SubmitJobInput!) { submitJob(input: $input) { ... on SubmitJobSuccess { id } } }',
    { input: { rental, command: ['true'], idempotencyKey: newId() } },
  )
  const job: string = submitted.data.submitJob.id
  const start = { type: 'StartJob', attempt: 1, cluster: 'burnt', startedAt: world.market.now() } as const
  const envelope = requestEnvelope(newId(), systemActor('scheduler'), world.market.now())
  mustExecute(await world.market.commands.execute('job', job, start, envelope))
  return { listing, rental, job }
}
const giveBack = (rental: string) =>
  renter.ask('mutation ($rental: ID!) { endRental(input: { rental: $rental }) { __typename } }', { rental })
/** Returns the parts of a worker, which this world does not have. */
const worker = () => ({ ...world.market, heartbeats: steadyHeartbeats(), schedule: async () => undefined })
const declareMutation = `mutation ($input: DeclareJobLostInput!) { declareJobLost(input: $input) {
  ... on DeclareJobLostSuccess { id rental position } ... on Error { code } } }`
const declare = async (user: Pick<User, 'ask'>, job: string, reason = 'The machine burnt down.') =>
  (await user.ask(declareMutation, { input: { job, reason } })).data.declareJobLost

describe('a job that an operator declares lost', () => {
  test('has failed with the reason, and its rental ends and is settled', async () => {
    const { listing, rental, job } = await rentWithJob()
    await giveBack(rental)
    await completeEnd(worker(), rental)
    world.market.pass(7_200)
    const answer = await declare(operator, job)
    expect(answer).toEqual({ id: job, rental, position: expect.any(String) })
    await jobEnded(worker(), job)
    const { data } = await renter.ask(
      `query ($job: ID!, $rental: ID!, $at: Position) { job(id: $job, atLeast: $at) { status code message }
        rental(id: $rental, atLeast: $at) { status invoice { id } } }`,
      { job, rental, at: await world.store.head() },
    )
    expect(data).toEqual({
      job: { status: 'failed', code: 'JOB_LOST', message: 'The machine burnt down.' },
      rental: { status: 'settled', invoice: { id: rental } },
    })
    expect(await world.market.state('listing', listing)).toMatchObject({ reservations: emptyMap })
    const events = await Array.fromAsync(world.store.readStream(`job-${job}`))
    expect(events.at(-1)).toMatchObject({ type: 'JobFailed', metadata: { actor: `user:${operator.wallet}` } })
    expect(await declare(operator, job)).toEqual({ code: 'JOB_FINISHED' })
  })

  test('is refused as long as no one has asked it to stop, and for a job that does not run', async () => {
    const { job } = await rentWithJob()
    expect(await declare(operator, job)).toEqual({ code: 'JOB_STOP_NOT_REQUESTED' })
    expect(await declare(operator, 'none')).toEqual({ code: 'JOB_UNKNOWN' })
    expect(await declare(operator, job, ' ')).toEqual({ code: 'INPUT_INVALID' })
    expect(await declare(operator, job, 'x'.repeat(1_001))).toEqual({ code: 'INPUT_INVALID' })
    expect(await world.market.state('job', job)).toMatchObject({ status: 'running' })
  })

  test('is the decision of an operator alone', async () => {
    const { rental, job } = await rentWithJob()
    await giveBack(rental)
    await completeEnd(worker(), rental)
    expect(await declare(world, job)).toEqual({ code: 'NOT_SIGNED_IN' })
    for (const user of [renter, auditor]) expect(await declare(user, job)).toEqual({ code: 'PRIVILEGE_NEEDED' })
    expect(await world.market.state('job', job)).toMatchObject({ status: 'running' })
  })
})
