import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { createTestDatabase, type TestDatabase } from '../servers/database.ts'
import { type Fleet, startFleet } from './fleet.ts'
import { journalFiles, readJournal } from './journal.ts'

let folder: string
let database: TestDatabase
let fleet: Fleet
const start = (journals: string) => {
  fleet = startFleet({
    members: [{ kind: 'appender', name: 'appender-1', perSecond: 100 }],
    url: database.url,
    folder: join(folder, journals),
    logs: folder,
    seed: 1,
  })
}
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-fleet-'))
  await mkdir(join(folder, 'journals'))
  database = await createTestDatabase()
})
afterEach(async () => {
  await fleet.end()
  expect(await processesNaming(folder)).toEqual([])
  await database.drop()
  await rm(folder, { recursive: true })
})

test('a process that is killed is started again, retries its unanswered appends, and ends in order', async () => {
  start('journals')
  for (let kills = 1; kills <= 3; kills++) {
    const before = fleet.sum('appender', 'events')
    await eventually('it appends', () => fleet.sum('appender', 'events') > before)
    expect(fleet.kill('appender', 0.5)).toBe(true)
    await eventually('it comes again', () => fleet.restarts() === kills)
  }
  await fleet.stop('appender', 20_000)
  expect(fleet.kill('appender', 0.5)).toBe(false)
  expect(fleet.unexpectedExits).toEqual([])
  const files = await journalFiles(join(folder, 'journals'), 'appender-1')
  expect(files).toHaveLength(4)
  const answers = new Map<number, string>()
  for await (const { n, is } of readJournal(files)) answers.set(n, is)
  expect(answers.size).toBeGreaterThan(0)
  expect([...answers.values()].filter((is) => is === 'begun' || is === 'unknown')).toEqual([])
})

test('a process that ends by itself is named, and its log has the reason', async () => {
  start('nowhere')
  await eventually('it is named', () => fleet.unexpectedExits.length > 0)
  expect(fleet.unexpectedExits[0]).toBe('appender-1 ended by itself with 1, see its log')
  expect(await readFile(join(folder, 'appender-1.log'), 'utf8')).toContain('ENOENT')
})
