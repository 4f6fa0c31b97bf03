import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { newId } from '../../commands/ids.ts'
import { createStreamFolds } from '../../projections/engine/stream-folds.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'

type User = Awaited<ReturnType<GatewayWorld['newUser']>>
let world: GatewayWorld
let renter: User
let listing: string
let rental: string
const positions: string[] = []
/** The streams that the gateway has folded. */
const folded: string[] = []

const ask = async (user: User, query: string, variables: object) => {
  const { data, errors } = await user.ask(query, variables)
  return errors?.[0] ? errors[0].extensions.code : data
}
const rentalAsOf = (asOf: object | null, user = renter, at: string | null = null) =>
  ask(
    user,
    'query ($id: ID!, $asOf: AsOf, $at: Position) { rental(id: $id, asOf: $asOf, atLeast: $at) { status charged { decimal } } }',
    { id: rental, asOf, at },
  )

beforeAll(async () => {
  world = await createGatewayWorld({
    services: ({ store: real }) => {
      const store: typeof real = {
        ...real,
        readStream: (stream, range) => {
          folded.push(stream)
          return real.readStream(stream, range)
        },
      }
      return { store, folds: createStreamFolds({ store }) }
    },
  })
  renter = await world.newUser()
  await world.market.deposit(renter.wallet, 10_000_000n)
  listing = newId()
  await world.market.list(listing, 8)
  const { data } = await renter.ask(
    'mutation ($input: RentGpuInput!) { rentGpu(input: $input) { ... on RentGpuSuccess { id } } }',
    { input: { listing, gpuCount: 2, hours: 1, maxPricePerGpuHour: '4', idempotencyKey: newId() } },
  )
  rental = data.rentGpu.id
  world.market.pass(10)
  await renter.ask('mutation ($id: ID!) { endRental(input: { rental: $id }) { __typename } }', { id: rental })
  for await (const { position } of world.store.readStream(`rental-${rental}`)) positions.push(position)
})
afterAll(() => world.close())

describe('a node as of a moment', () => {
  test('is folded from its events up to that position, inclusive', async () => {
    const seen = await Promise.all(positions.map((position) => rentalAsOf({ position })))
    expect(seen.map((data) => data.rental.status)).toEqual(['requested', 'active', 'active', 'ended', 'settled'])
    expect(seen.map((data) => data.rental.charged.decimal)).toEqual(['0', '0', '0.02', '0.02', '0.02'])
    expect((await rentalAsOf(null, renter, positions.at(-1))).rental.status).toBe('settled')
  })

  test('is not folded for a viewer who may not see it', async () => {
    const stranger = await world.newUser()
    folded.length = 0
    expect(await rentalAsOf({ position: positions[4] }, stranger)).toBe('NOT_YOURS')
    expect(folded).toEqual([])
    await rentalAsOf({ position: positions[4] })
    expect(folded).toEqual([`rental-${rental}`])
  })

  test('is folded from its events up to that time', async () => {
    const ended = Date.parse(world.market.now())
    const at = (ms: number) => rentalAsOf({ time: new Date(ms).toISOString() })
    expect((await at(ended)).rental.status).toBe('settled')
    expect((await at(ended - 1)).rental.status).toBe('active')
    expect(await at(ended - 10_001)).toBe('RENTAL_UNKNOWN')
  })

  test('shows how many GPUs of a listing were free then', async () => {
    const freeAt = async (position: string) =>
      (
        await ask(
          renter,
          'query ($id: ID!, $at: Position) { listing(id: $id, asOf: { position: $at }) { freeGpus } }',
          { id: listing, at: position },
        )
      ).listing.freeGpus
    const [requested, active, , , settled] = positions
    expect([await freeAt(requested ?? ''), await freeAt(active ?? ''), await freeAt(settled ?? '')]).toEqual([8, 6, 8])
  })

  test('shows the available and the held money of an account', async () => {
    const query =
      'query ($at: Position) { account(asOf: { position: $at }) { balances { available { decimal } held { decimal } } } }'
    const at = async (position: string | undefined) => (await ask(renter, query, { at: position })).account.balances
    expect(await at(positions[0])).toEqual([{ available: { decimal: '10' }, held: { decimal: '0' } }])
    expect(await at(positions[1])).toEqual([{ available: { decimal: '2.8' }, held: { decimal: '7.2' } }])
    expect(await at(positions[4])).toEqual([{ available: { decimal: '9.98' }, held: { decimal: '0' } }])
  })

  test('of a job is folded from its own stream', async () => {
    expect(
      await ask(renter, 'query ($id: ID!) { job(id: $id, asOf: { time: "2026-01-01T00:00:00Z" }) { status } }', {
        id: newId(),
      }),
    ).toBe('JOB_UNKNOWN')
  })

  test('is visible to the owner of the node alone', async () => {
    expect(await rentalAsOf({ position: positions[0] }, await world.newUser())).toBe('NOT_YOURS')
  })

  test.each([
    ['a year that no calendar has', { time: '0000-01-01T00:00:00Z' }, 'INPUT_INVALID'],
    ['neither a time nor a position', {}, 'INPUT_INVALID'],
    ['a position of another platform', { position: 'pg-other-00000000000000000001' }, 'POSITION_FOREIGN'],
  ])('refuses %s', async (_, asOf, code) => expect(await rentalAsOf(asOf)).toBe(code))
})

describe('a list as of a moment', () => {
  const listAsOf = (asOf: object | null, more: object = {}, user = renter) =>
    ask(
      user,
      `query ($asOf: AsOf, $as: RentalRole, $status: RentalStatus) {
        rentals(asOf: $asOf, as: $as, status: $status) { nodes { id status charged { decimal } } } }`,
      { asOf, ...more },
    )

  test('of rentals shows them as they were', async () => {
    for (const position of positions)
      expect((await listAsOf({ position })).rentals.nodes).toEqual([
        { id: rental, ...(await rentalAsOf({ position })).rental },
      ])
    const ended = Date.parse(world.market.now())
    const before = { time: new Date(ended - 1).toISOString() }
    expect((await listAsOf(before)).rentals.nodes).toMatchObject([{ status: 'active' }])
    expect((await listAsOf({ position: world.store.start })).rentals.nodes).toEqual([])
  })

  test('is filtered by the values at that time', async () => {
    const countAt = async (position: string | undefined, more: object) =>
      (await listAsOf({ position }, more)).rentals.nodes.length
    expect(await countAt(positions[1], { status: 'active' })).toBe(1)
    expect(await countAt(positions[4], { status: 'active' })).toBe(0)
    expect(await countAt(positions[4], { as: 'provider' })).toBe(0)
  })

  test('of ledger entries ends there', async () => {
    const typesAt = async (asOf: object | null, at: string | null = null) => {
      const query = 'query ($asOf: AsOf, $at: Position) { ledgerEntries(asOf: $asOf, atLeast: $at) { nodes { type } } }'
      return (await ask(renter, query, { asOf, at })).ledgerEntries.nodes.map(({ type }: { type: string }) => type)
    }
    const typesNow = await typesAt(null, await world.store.head())
    expect(await typesAt({ position: positions[0] })).toEqual(['DepositCredited'])
    expect(await typesAt({ position: positions[1] })).toEqual(['FundsHeld', 'DepositCredited'])
    expect(await typesAt({ time: '2025-12-31T23:59:59.999Z' })).toEqual([])
    expect(await typesAt({ time: world.market.now() })).toEqual(typesNow)
    expect(typesNow).toEqual(['HoldReleased', 'HoldCaptured', 'FundsHeld', 'DepositCredited'])
  })

  test.each([
    ['both a time and a position', { time: '2026-01-01T00:00:00Z', position: 'x' }, 'INPUT_INVALID'],
    ['a position of another platform', { position: 'pg-other-00000000000000000001' }, 'POSITION_FOREIGN'],
  ])('refuses %s', async (_, asOf, code) => expect(await listAsOf(asOf)).toBe(code))
})
