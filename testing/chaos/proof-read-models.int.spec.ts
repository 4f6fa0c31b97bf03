// A read model or a ledger with one thing wrong is complained about, and named.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals'
import { allProjections } from '../../projections/all.ts'
import { createSpecLog } from '../../projections/engine/log.testing.ts'
import { writeRentals } from '../../projections/engine/market.testing.ts'
import { startProjections } from '../../projections/engine/start.ts'
import { createReadWorld, type ReadWorld } from '../../projections/engine/world.testing.ts'
import { leftBehind, proveLedger, proveReadModels } from './proof-read-models.ts'

let world: ReadWorld
beforeAll(async () => {
  world = await createReadWorld()
  const { store, database, log } = world
  await writeRentals(
    createSpecLog(store),
    [0, 1, 2].map((number) => ({ number, end: 'settled' }) as const),
    [],
  )
  const running = startProjections({ projections: allProjections, store, database, log })
  await running.waitFor(await store.head(), 30_000)
  await running.close()
})
afterAll(() => world.close())

const change = (statement: string) => world.database.query('spec.change', statement)
const complaints = async () => {
  const { store, database, read } = world
  return {
    models: (await proveReadModels({ store, database, projections: allProjections })).complaints,
    ledger: (await proveLedger({ store, database, read })).complaints,
  }
}

/** The log of this spec is made by hand, so its settled rentals have paid no provider. */
const unpaid = ['transit:rental:r0 keeps -600000', 'transit:rental:r1 keeps -600000', 'transit:rental:r2 keeps -600000']

test('read models that agree with the log are not reported, but what the log itself has left in transit is', async () => {
  expect(await complaints()).toEqual({ models: [], ledger: unpaid })
  const { looked } = await proveReadModels({ ...world, projections: allProjections })
  expect(looked).toMatch(/^[1-9]\d* rows of \d+ projections$/)
})

describe('it is complained about', () => {
  let undo = ''
  afterEach(async () => {
    await change(undo)
    expect(await complaints()).toEqual({ models: [], ledger: unpaid })
  })

  test('a row that differs', async () => {
    undo = 'update read.rentals set charged = charged - 1 where id = $$r1$$'
    await change('update read.rentals set charged = charged + 1 where id = $$r1$$')
    expect((await complaints()).models).toEqual([
      'rentals row r1: differs {"charged":{"live":"600001","rebuilt":"600000"}}',
    ])
  })

  test('a row that is missing', async () => {
    await change('create table kept as select * from read.invoices where id = $$r2$$')
    undo = 'insert into read.invoices select * from kept'
    await change('delete from read.invoices where id = $$r2$$')
    expect((await complaints()).models).toEqual(['invoices row r2: missing in the table {}'])
  })

  test('a row without an event in the log', async () => {
    undo = 'delete from read.jobs where id = $$j9$$'
    await change(
      `insert into read.jobs select (jsonb_populate_record(j, '{"id": "j9"}')).* from read.jobs j where id = 'j0'`,
    )
    expect((await complaints()).models).toEqual(['jobs row j9: not in the log {}'])
  })

  test('a stream that is parked', async () => {
    undo = 'delete from read.parked_streams'
    await change(`insert into read.parked_streams
      (projection, version, stream, revision, position, type, code, message, held, since)
      values ('jobs', 1, 'job-x', 3, 'pg', 'JobStarted', 'EVENT_NOT_FOLDED', 'no such attempt', 0, now())`)
    expect((await complaints()).models).toEqual(['jobs has parked job-x at revision 3: no such attempt'])
  })

  test('money that is another sum in the read model than in the log', async () => {
    undo = `update read.ledger_entries set amount = amount - 1 where type = 'DepositFinalized' and credit like '%p0'`
    await change(
      `update read.ledger_entries set amount = amount + 1 where type = 'DepositFinalized' and credit like '%p0'`,
    )
    const { models, ledger } = await complaints()
    expect(models).toEqual([expect.stringContaining('ledger-entries row')])
    expect(ledger).toEqual([
      ...unpaid,
      expect.stringMatching(/^custody:31337 has 21600001 in the read model, 21600000 in the log$/),
      expect.stringMatching(/^transit:deposit:p0 has -1 in the read model, 0 in the log$/),
    ])
  })

  test('a rental that stands still, GPUs that were not freed, a hold for no rental', async () => {
    undo = `update read.rentals set status = 'settled' where id = 'r0'; update read.listings set free_gpus = 8 where id = 'l1';
      update read.accounts set held = 0`
    await change(`update read.rentals set status = 'ended' where id = 'r0'`)
    await change(`update read.listings set free_gpus = 6 where id = 'l1'`)
    await change(`update read.accounts set held = 5 where id = '0xr2:USDC/6'`)
    expect(await leftBehind(world.database)).toEqual([
      'rental r0 stands still, ended',
      'listing l1 has 6 of 8 GPUs free',
      'account 0xr2:USDC/6 holds 5 for no rental',
    ])
    expect((await complaints()).models).toHaveLength(3)
  })
})
