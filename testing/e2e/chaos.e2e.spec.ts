// Everything that writes and reads the log is killed at random, and the database with it: see docs/operating.md.
// CHAOS_MINUTES sets how long, CHAOS_SEED repeats a schedule, CHAOS_EVENTSTORE names a file of nodes for one run more.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from '@jest/globals'
import { connectPostgres } from '../../infra/postgres.ts'
import type { Verdict } from '../chaos.ts'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { leaveOut } from '../servers/left-out.ts'
import { embeddedDatabaseUrl } from '../worlds/platform.ts'
import { silentLog } from '../worlds/silent-log.ts'

const minutes = process.env.CHAOS_MINUTES ?? '0.6'
const seconds = Number(minutes) * 60
const nodesFile = process.env.CHAOS_EVENTSTORE

const kept: string[] = []
afterEach(async () => {
  for (const folder of kept.splice(0)) await rm(folder, { recursive: true })
})

/** Starts the run as a user does. Its folder has its process id in the name. */
const startChaos = (...options: string[]) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../chaos.ts'), '--json', ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  const [output, progress] = [[] as string[], [] as string[]]
  child.stdout.on('data', (chunk: Buffer) => output.push(String(chunk)))
  child.stderr.on('data', (chunk: Buffer) => progress.push(String(chunk)))
  const ended = once(child, 'close').then(([code]) => ({
    code: code as number,
    verdict: JSON.parse(output.join('')) as Verdict,
  }))
  const folder = async () => {
    const mine = (await readdir(tmpdir())).filter((name) => name.startsWith(`neuralmesh-chaos-${child.pid}-`))
    return mine.map((name) => join(tmpdir(), name))[0]
  }
  return { child, ended, folder, progress: () => progress.join('') }
}

/** Returns the number of events in the last progress line. */
const eventsShown = (text: string): number => Number((text.match(/([\d,]+) events/g)?.at(-1) ?? '0').replace(/\D/g, ''))

const survives = (name: string, ...options: string[]) =>
  test(
    `killed for ${minutes} minutes${name}, nothing is lost, doubled, torn or out of order`,
    async () => {
      const chaos = startChaos('--minutes', minutes, '--postgres-every', '9', ...options)
      const folder = await eventually('a folder', chaos.folder)
      const { code, verdict } = await chaos.ended
      const broken = verdict.proofs.filter(({ complaints }) => complaints.length > 0)
      expect({ broken, seed: verdict.seed, folder: verdict.folder }).toEqual({ broken: [], seed: verdict.seed })
      expect([code, verdict.ok]).toEqual([0, true])
      expect(verdict.proofs).toHaveLength(7)
      const { appender = 0, trader = 0, worker = 0, projector = 0, tail = 0, ...others } = verdict.kills
      const { connection = 0, 'store connection': storeConnection = 0, ...servers } = others
      expect(Object.values(servers).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(seconds / 20)
      const cut = connection + storeConnection
      expect(cut + appender + trader + worker + projector + tail).toBeGreaterThan(seconds / 4)
      expect(verdict.appends?.acknowledgedEvents).toBeGreaterThan(seconds * 20)
      const { settled = 0, rejected = 0 } = verdict.rentals
      // On a slow machine few are tried, and of those whose answer was killed some are refused.
      expect(settled + rejected).toBeGreaterThan(0)
      expect(await processesNaming(folder)).toEqual([])
      expect(await chaos.folder()).toBeUndefined()
    },
    (seconds + 300) * 1_000,
  )

survives('')
if (nodesFile) survives(' on EventStoreDB', '--eventstore', nodesFile)
else leaveOut('the chaos run on an EventStoreDB', 'no EventStoreDB here: CHAOS_EVENTSTORE is not set')

test('Ctrl-C ends it early: it proves what was done so far and leaves nothing behind', async () => {
  const chaos = startChaos('--minutes', '30')
  await eventually('some events', () => eventsShown(chaos.progress()) > 0, 60_000)
  const folder = (await chaos.folder()) ?? ''
  chaos.child.kill('SIGINT')
  const { code, verdict } = await chaos.ended
  expect({ code, ok: verdict.ok, early: verdict.seconds < 60 }).toEqual({ code: 0, ok: true, early: true })
  expect(verdict.events).toBeGreaterThan(0)
  expect(await processesNaming(folder)).toEqual([])
  expect(await chaos.folder()).toBeUndefined()
}, 180_000)

test('a row that another program alters meanwhile is found: exit code 1, and the folder is kept and named', async () => {
  const chaos = startChaos('--minutes', '30')
  const folder = await eventually('a folder', chaos.folder)
  kept.push(folder)
  const url = await eventually('a database', () => embeddedDatabaseUrl(folder).catch(() => undefined))
  const database = connectPostgres({ url, log: silentLog, poolSize: 1 })
  await eventually(
    'a row to alter',
    async () => {
      const alter = `update read.providers set name = name || '!' where id = (select min(id) from read.providers) returning id`
      return (await database.query('spec.alter', alter).catch(() => [])).length > 0
    },
    60_000,
  )
  await database.close()
  chaos.child.kill('SIGINT')
  const { code, verdict } = await chaos.ended
  expect(code).toBe(1)
  expect(verdict.folder).toBe(folder)
  expect(verdict.proofs.filter(({ complaints }) => complaints.length > 0)).toMatchObject([
    { complaints: [expect.stringMatching(/^providers row 0xp-trader-.*: differs \{"name":/)] },
  ])
  expect(await processesNaming(folder)).toEqual([])
  expect(await readdir(folder)).toEqual(expect.arrayContaining(['journals', 'logs', 'postgres']))
}, 180_000)
