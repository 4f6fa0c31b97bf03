import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { listInvoices } from '../../projections/invoices.ts'
import { ledgerSums } from '../../projections/ledger-entries.ts'
import { walletOf } from '../../testing/worlds/rentals.ts'
import { createExportWorld, type ExportWorld, secret } from '../export.testing.ts'
import { createPrivacy } from './personal.ts'

let world: ExportWorld
beforeEach(async () => {
  world = await createExportWorld()
})
afterEach(() => world.close())

const privacy = createPrivacy('key')
type Count = { readonly type: string; readonly events: string }

/** Returns the query of the balance of each account, in minor units. */
const postings = (from: string) => `
  select account, asset, sum(change)::varchar as figure from (
    select debit as account, amount.asset as asset, amount.amount::decimal(38, 0) as change from ${from} where debit is not null
    union all
    select credit, amount.asset, -(amount.amount::decimal(38, 0)) from ${from} where credit is not null)
  group by account, asset order by account, asset`

/** Returns `user:<wallet>:available` as it is exported. */
const accountAsExported = (account: string) =>
  (
    privacy.fields('HoldCaptured', { rental: '', posting: { debit: account, credit: '', amount: {} } }) as {
      posting: { debit: string }
    }
  ).posting.debit

describe('an analyst with DuckDB', () => {
  test('finds every event once, in the partition of its day, with typed columns', async () => {
    const { events } = await world.export({ limits: { groupEvents: 9, roundEvents: 40 } })
    const { duckdb, database, from } = world
    const inLog = await database.query<{ type: string; events: bigint }>(
      'spec',
      'select type, count(*) as events from log.events group by type order by type collate "C"',
    )
    const exported = await duckdb.ask<Count>(
      `select type, count(*) as events from ${from()} group by type order by type`,
    )
    expect(exported).toEqual(inLog.map(({ type, events: count }) => ({ type, events: String(count) })))
    expect(events).toBe(inLog.reduce((sum, { events: count }) => sum + Number(count), 0))
    expect(
      await duckdb.ask(`select count(distinct position) as positions, count(distinct event_id) as ids from ${from()}`),
    ).toEqual([{ positions: String(events), ids: String(events) }])
    expect(await duckdb.ask(`select distinct day::varchar as day from ${from()} order by day`)).toEqual(
      ['2026-01-01', '2026-01-02'].map((day) => ({ day })),
    )
    expect(
      await duckdb.ask(
        `select count(*) as elsewhere from ${from()} where strftime(time at time zone 'UTC', '%Y-%m-%d') <> day::varchar`,
      ),
    ).toEqual([{ elsewhere: '0' }])
    const types = await duckdb.ask<{ column_name: string; column_type: string }>(`describe select * from ${from()}`)
    expect(Object.fromEntries(types.map((column) => [column.column_name, column.column_type]))).toMatchObject({
      position: 'VARCHAR',
      revision: 'BIGINT',
      schema_version: 'INTEGER',
      time: 'TIMESTAMP WITH TIME ZONE',
      gpu_count: 'INTEGER',
      run_seconds: 'BIGINT',
      fee: 'STRUCT(amount VARCHAR, asset VARCHAR, scale INTEGER)',
      data: 'VARCHAR',
      day: 'DATE',
    })
  })

  test('gets the ledger of the read models, account by account, to the last minor unit', async () => {
    await world.project()
    await world.export()
    const { accounts, assets } = await ledgerSums(world.read)
    expect(accounts.length).toBeGreaterThan(10)
    const expected = accounts
      .map(({ account, asset, figure }) => ({ account: accountAsExported(account), asset, figure: String(figure) }))
      .toSorted((a, b) => (a.account < b.account ? -1 : 1))
    expect(await world.duckdb.ask(postings(world.from()))).toEqual(expected)
    expect(assets).toEqual([{ asset: 'USDC/6', sum: 0n }])
  })

  test('gets the invoices of the read models by a join over pseudonyms, and the same from the metered fees', async () => {
    await world.project()
    await world.export()
    const { rows } = await listInvoices(world.read, { first: 100 })
    const byRenter = Map.groupBy(rows, ({ renter }) => privacy.pseudonym(renter))
    const expected = [...byRenter]
      .map(([renter, of]) => ({ renter, owed: String(of.reduce((sum, { total }) => sum + total, 0n)) }))
      .toSorted((a, b) => (a.renter < b.renter ? -1 : 1))
    const joined = (money: string, type: string) => `
      select requested.renter, sum(e.${money}.amount::decimal(38, 0))::varchar as owed
      from ${world.from()} e join ${world.from()} requested on requested.rental = e.rental and requested.type = 'RentalRequested'
      where e.type = '${type}' and e.rental in (select rental from ${world.from()} where type = 'InvoiceIssued')
      group by requested.renter order by requested.renter`
    expect(expected).toHaveLength(2)
    expect(await world.duckdb.ask(joined('total', 'InvoiceIssued'))).toEqual(expected)
    expect(await world.duckdb.ask(joined('fee', 'UsageMetered'))).toEqual(expected)
  })

  test('finds the same in JSON lines', async () => {
    await world.export()
    const lines = join(world.folder, 'lines')
    await world.export({ out: lines, format: 'jsonl' })
    const ask = (from: string) =>
      world.duckdb.ask(`select position, stream, revision, type, event_id, actor, strftime(time at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%g') as time,
        rental, gpu_count, run_seconds, fee.amount as fee, fee.scale as scale, data::json->>'$.meteredAt' as metered_at from ${from} order by position`)
    const rows = await ask(world.from())
    expect(rows.length).toBeGreaterThan(50)
    expect(
      await ask(
        world.from(lines, 'jsonl').replace(
          'hive_partitioning',
          `columns = {position: 'VARCHAR', stream: 'VARCHAR',
      revision: 'BIGINT', type: 'VARCHAR', event_id: 'VARCHAR', actor: 'VARCHAR', time: 'TIMESTAMPTZ', rental: 'VARCHAR', gpu_count: 'INTEGER',
      run_seconds: 'BIGINT', fee: 'STRUCT(amount VARCHAR, asset VARCHAR, scale INTEGER)', data: 'VARCHAR'}, hive_partitioning`,
        ),
      ),
    ).toEqual(rows)
  })
})

describe('personal data', () => {
  const textOf = async (out: string) => {
    const paths = (await readdir(out, { recursive: true })).filter((path) => path.endsWith('.jsonl'))
    return (await Promise.all(paths.map((path) => readFile(join(out, path), 'utf8')))).join('')
  }
  const personal = [walletOf('renter 1'), walletOf('renter 3'), walletOf('provider'), 'Garage', secret]

  test('is left out', async () => {
    await world.export({ format: 'jsonl' })
    const text = await textOf(world.out)
    expect(text.length).toBeGreaterThan(10_000)
    expect(personal.filter((word) => text.includes(word))).toEqual([])
    expect(text).toContain('"type":"JobSubmitted"')
  })

  test('is included on request', async () => {
    await world.export({ format: 'jsonl', pseudonymKey: undefined })
    const text = await textOf(world.out)
    expect(personal.filter((word) => !text.includes(word))).toEqual([])
  })
})
