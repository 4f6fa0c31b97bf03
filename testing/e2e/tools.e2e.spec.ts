// The two tools as an analyst calls them: beside a running platform, and with none.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { type Installation, openInstallation } from '../../cli/installation.ts'
import { readConfig } from '../../infra/config.ts'
import { createShutdown } from '../../infra/shutdown.ts'
import { runNode } from '../children.ts'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { createTestFolder, startTestPlatform, stopTestPlatforms, type TestPlatform } from '../worlds/platform.ts'
import { createListing, createRenter } from '../worlds/renter.ts'
import { silentLog } from '../worlds/silent-log.ts'

const root = join(import.meta.dirname, '../..')
const units = 9_000_000n
const example = 'analysis/revenue-by-gpu.ts'
let folder: Awaited<ReturnType<typeof createTestFolder>>
let dataDir: string
let platform: TestPlatform

beforeAll(async () => {
  folder = await createTestFolder()
  dataDir = join(folder.path, 'data')
  platform = await startTestPlatform(dataDir)
  const listing = await createListing(platform.url, 2, '3')
  const { client } = await createRenter(platform.url, units)
  const request = { listing, seconds: 3600, maxPricePerGpuHour: '3', idempotencyKey: crypto.randomUUID() }
  const { id } = await client.mutate<{ id: string }>('rentGpu', request, 'id position')
  // A second has to be acknowledged before anything is owed; the scheduler beats each second, later when the machine is busy.
  await eventually('the rental has cost something', async () => {
    const { rental } = await client.query<{ rental: { startedAt: string } }>(`{ rental(id: "${id}") { startedAt } }`)
    return Date.now() - Date.parse(rental.startedAt) > 4_000
  })
  await client.mutate('endRental', { rental: id }, 'position')
  await client.close()
})
afterAll(async () => {
  await stopTestPlatforms()
  await folder.remove()
})

/** Runs a tool to its end. `onOutput` gets the standard output as it grows. */
const runTool = (
  tool: 'replay' | 'export',
  given: readonly string[],
  onOutput?: Parameters<typeof runNode>[2],
  settings: Record<string, string> = {},
) => runNode([`cli/${tool}.ts`, ...given], { DATA_DIR: dataDir, ...settings }, onOutput)

const runShell = async (script: string): Promise<number | null> => {
  const child = spawn('bash', ['-c', script], {
    cwd: root,
    env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: '', EVENTSTORE_URL: '', DATA_DIR: dataDir },
    stdio: 'ignore',
  })
  const [code] = await once(child, 'close')
  return code
}

type Answer = {
  readonly result?: {
    readonly tables: { rows: number; first: Record<string, string>[] }[]
    readonly totalEvents: number
  }
  readonly error?: { readonly code: string; readonly details: Record<string, string> }
}
const answerOf = ({ output }: { readonly output: string }): Answer => JSON.parse(output.trim().split('\n').at(-1) ?? '')

/** Opens the installation as the tools do, and asks it. */
const look = async <T>(question: (installation: Installation) => Promise<T>): Promise<T> => {
  const shutdown = createShutdown(silentLog)
  const config = readConfig({ DATA_DIR: dataDir })
  try {
    return await question(await openInstallation({ config, log: silentLog, shutdown }))
  } finally {
    await shutdown.stop('seen')
  }
}
const chargedIn = (schema: string) =>
  look(({ database }) =>
    database.query<{ charged: string }>('spec', `select sum(charged) as charged from ${schema}.revenue`),
  )

test('beside a running platform, and again with none, with the same result', async () => {
  const beside = await runTool('replay', [example, '--json'])
  expect(beside).toMatchObject({ code: 0, errors: '' })
  const [revenue] = answerOf(beside).result?.tables ?? []
  expect(Number(revenue?.first[0]?.charged)).toBeGreaterThan(0)
  const out = join(folder.path, 'beside')
  const exported = await runTool('export', ['--out', out, '--json'])
  expect(exported).toMatchObject({ code: 0, errors: '' })
  const events = answerOf(exported).result?.totalEvents ?? 0
  expect(events).toBeGreaterThan(8)

  await platform.stop()
  const alone = await runTool('replay', [example])
  expect(alone.code).toBe(0)
  expect(alone.output).toContain('replay_revenue_by_gpu.revenue')
  expect(alone.errors).toContain('100 %')
  expect(await chargedIn('replay_revenue_by_gpu')).toEqual([{ charged: revenue?.first[0]?.charged }])
  const again = await runTool('export', ['--out', out, '--json'])
  expect(answerOf(again).result?.totalEvents).toBe(events)
  expect(await readdir(join(dataDir, 'keys'))).toContain('export')
  expect(await processesNaming(dataDir)).toEqual([])
})

test.each([
  ['at the beginning', 'Replaying'],
  ['while the events are folded', 'folding'],
])(
  'Ctrl-C %s ends it, puts away what was half done, and leaves no process; the former result is whole',
  async (_, shown) => {
    await runTool('replay', [example, '--schema', 'replay_slow'])
    const before = await chargedIn('replay_slow')
    const file = join(folder.path, 'slow.ts')
    const interrupted = join(folder.path, `interrupted-at-${shown}`)
    const library = join(import.meta.dirname, '../../analysis/replay.ts')
    await writeFile(
      file,
      `import { existsSync } from 'node:fs'
      import { integer, replay, table, text } from ${JSON.stringify(library)}
      const slowly = ({ seen }, _, { id }) => {
        console.log('folding')
        // Once more after it was sent: a signal takes a while to arrive on a busy machine.
        do Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250)
        while (!existsSync(${JSON.stringify(interrupted)}))
        seen.set({ id, times: 1n })
      }
      export default replay({
        tables: { seen: table({ key: { id: text() }, columns: { times: integer() } }) },
        fold: { RentalRequested: slowly, RentalActivated: slowly, UsageMetered: slowly, RentalEnded: slowly },
      })`,
    )
    let asked = false
    const ended = await runTool('replay', [file, '--schema', 'replay_slow'], (output, interrupt) => {
      if (asked || !output.includes(shown)) return
      asked = true
      interrupt()
      writeFileSync(interrupted, '')
    })
    expect(ended.code).toBe(130)
    expect(await processesNaming(dataDir)).toEqual([])
    expect(await chargedIn('replay_slow')).toEqual(before)
    const schemas = await look(({ database }) =>
      database.query<{ name: string }>(
        'spec',
        `select nspname as name from pg_namespace where nspname like '%building'`,
      ),
    )
    expect(schemas).toEqual([])
  },
)

describe('what cannot be done is refused with its code, and exit code 1', () => {
  test.each<['replay' | 'export', string[], string, Record<string, string>]>([
    ['replay', [], 'INPUT_INVALID', { file: 'name one file' }],
    ['replay', ['no-such.ts'], 'REPLAY_FILE_INVALID', { reason: 'there is no such file' }],
    ['replay', ['main.ts'], 'REPLAY_FILE_INVALID', { reason: 'its default export is not made by replay(…)' }],
    ['replay', [example, '--from', '28.11.2026'], 'INPUT_INVALID', { from: '28.11.2026' }],
    [
      'replay',
      [example, '--from', '2026-11-22', '--to', '2026-11-21'],
      'INPUT_INVALID',
      { takes: '--from before --to' },
    ],
    ['export', ['--out', '/proc/x'], 'EXPORT_FOLDER_UNWRITABLE', { folder: '/proc/x' }],
    ['export', ['--out', join(root, 'package.json')], 'EXPORT_FOLDER_UNWRITABLE', {}],
    ['replay', [example, '--schema', 'read'], 'INPUT_INVALID', { schema: 'read' }],
    ['replay', [example, '--loud'], 'INPUT_INVALID', {}],
    ['export', [], 'INPUT_INVALID', { out: 'name a folder: --out DIR' }],
    ['export', ['--out', 'x', '--format', 'xlsx'], 'INPUT_INVALID', { format: 'xlsx', takes: 'parquet or jsonl' }],
    ['export', ['--out', import.meta.dirname], 'EXPORT_FOLDER_FOREIGN', { folder: import.meta.dirname }],
  ])('%s %p', async (tool, given, code, details) => {
    const ended = await runTool(tool, [...given, '--json'])
    expect(ended.code).toBe(1)
    expect(ended.errors).toContain(`${code}: `)
    expect(answerOf(ended).error).toMatchObject({ code, details })
  })

  test('also a folder without a log, which is not made', async () => {
    const nowhere = join(folder.path, 'nowhere')
    const ended = await runTool('export', ['--out', 'x', '--json'], undefined, { DATA_DIR: nowhere })
    expect(answerOf(ended).error).toMatchObject({ code: 'LOG_NOT_FOUND', details: { folder: nowhere } })
    expect(await readdir(folder.path)).not.toContain('nowhere')
  })

  test('--help prints the usage, and needs nothing', async () => {
    const ended = await runTool('export', ['--help'], undefined, { DATA_DIR: '/dev/null/x' })
    expect(ended).toMatchObject({ code: 0, errors: '' })
    const usage = await readFile(join(import.meta.dirname, '../../cli/export.ts'), 'utf8')
    expect(usage).toContain(ended.output.trim())
  })
})

test.each([1, 2])('a tool whose output is not read any more ends in order, without a stack (%d)', async (lines) => {
  const command = `"${process.execPath}" cli/replay.ts ${example} --json 2> "${join(folder.path, 'errors.txt')}"`
  const ended = await runShell(`set -o pipefail; ${command} | head -n ${lines}`)
  expect([0, 141]).toContain(ended)
  expect(await readFile(join(folder.path, 'errors.txt'), 'utf8')).not.toContain('EPIPE')
  expect(await processesNaming(dataDir)).toEqual([])
})

test.each(['', '--json'])(
  'a tool whose output cannot be written says so with a code, without a stack (%s)',
  async (json) => {
    const errors = join(folder.path, 'errors.txt')
    expect(await runShell(`"${process.execPath}" cli/replay.ts ${example} ${json} > /dev/full 2> "${errors}"`)).toBe(1)
    const text = await readFile(errors, 'utf8')
    expect(text).toContain('PATH_UNUSABLE: ')
    expect(text).toContain('path: standard output, reason: ENOSPC')
    expect(text).not.toContain('    at ')
  },
)
