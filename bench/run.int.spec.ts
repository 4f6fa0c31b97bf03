import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from '@jest/globals'
import { connectPostgres } from '../infra/postgres.ts'
import { createLog } from '../infra/telemetry.ts'
import { isRunning } from '../testing/children.ts'
import { startEventStoreDbServer } from '../testing/eventstoredb/server.ts'
import { eventually } from '../testing/eventually.ts'
import { readProcesses } from '../testing/processes.ts'
import { createTestDatabase } from '../testing/servers/database.ts'
import { benches } from './benches.ts'
import type { Figures } from './rows.ts'

type Running = { readonly process: ChildProcess; output(): string; readonly ended: Promise<number | null> }

const running: Running[] = []
const folders: string[] = []

const startBench = (args: readonly string[], env: Readonly<Record<string, string>>): Running => {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'run.ts'), ...args], {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  for (const output of [child.stdout, child.stderr])
    output.on('data', (chunk: Buffer) => {
      printed += String(chunk)
    })
  const bench = {
    process: child,
    output: () => printed,
    ended: once(child, 'close').then(([code]) => code as number | null),
  }
  running.push(bench)
  return bench
}

afterEach(async () => {
  for (const bench of running.splice(0)) {
    bench.process.kill('SIGKILL')
    await bench.ended
  }
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

/** Returns the processes that a process has started, directly or through others. */
const descendantsOf = (pid: number): number[] => {
  const children = readProcesses().filter(({ parent }) => parent === pid)
  return children.flatMap((child) => [child.pid, ...descendantsOf(child.pid)])
}

describe('the benches', () => {
  test('all run, on a server that is given, and leave no database there', async () => {
    const home = await createTestDatabase()
    const admin = connectPostgres({ url: home.url, poolSize: 1, log: createLog({ level: 'silent', format: 'json' }) })
    const databases = () =>
      admin.query<{ datname: string }>('spec.databases', `select datname from pg_database where datname like 'bench%'`)
    const before = await databases()
    const eventStoreDb = await startEventStoreDbServer()
    const urls = { BENCH_DATABASE_URL: home.url, EVENTSTORE_URL: eventStoreDb.url }
    const bench = startBench(['all', '--quick', '--json'], urls)
    const code = await bench.ended
    await eventStoreDb.stop()
    expect({ code, output: code === 0 ? '' : bench.output() }).toEqual({ code: 0, output: '' })
    const lines = bench
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'))
    const figures = lines.map((line) => JSON.parse(line) as Figures)
    for (const { name } of benches)
      expect(figures.filter((row) => row.bench.startsWith(name)).length).toBeGreaterThan(0)
    for (const { ours, limit, rounds } of figures) {
      expect(ours).toBeGreaterThan(0)
      expect(limit ?? 1).toBeGreaterThan(0)
      expect(rounds).toBe(1)
    }
    expect(await databases()).toEqual(before)
    await admin.close()
    await home.drop()
  }, 180_000) // all of them, each with processes of its own

  test('leave out what needs an EventStoreDB where there is none, and open no PostgreSQL for it', async () => {
    const bench = startBench(['eventstoredb', '--quick'], {
      BENCH_DATABASE_URL: 'postgres://127.0.0.1:1/none',
      EVENTSTORE_URL: '',
    })
    expect(await bench.ended).toBe(0)
    expect(bench.output()).toContain('eventstoredb: left out, no EventStoreDB here')
  })

  test('start the first node of a file, and end it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-bench-spec-'))
    folders.push(folder)
    const [file, pidFile] = [join(folder, 'nodes.json'), join(folder, 'pid')]
    const eventStoreDb = await startEventStoreDbServer()
    // The server itself is in this process: what is started and ended here stands for it.
    const start = `sleep 600 >/dev/null 2>&1 & echo $! > '${pidFile}'`
    await writeFile(file, JSON.stringify([{ url: eventStoreDb.url, pidFile, start }]))
    const bench = startBench(['eventstoredb', '--quick', '--json', '--eventstore', file], { EVENTSTORE_URL: '' })
    expect(await bench.ended).toBe(0)
    const pid = Number(await readFile(pidFile, 'utf8'))
    await eventually('the started node to end', async () => !isRunning(pid))
    await eventStoreDb.stop()
  }, 60_000)

  test('refuse a server that does not wait for its disk', async () => {
    const home = await createTestDatabase()
    const bench = startBench(['load', '--without-peer'], { BENCH_DATABASE_URL: home.url })
    expect(await bench.ended).toBe(1)
    expect(bench.output()).toMatch(/must be on disk when it is acknowledged, but this server has .*fsync.* off/)
    await home.drop()
  })

  test('end on Ctrl-C with nothing left behind: no server, no contestant, no folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-bench-spec-'))
    folders.push(folder)
    await chmod(folder, 0o755)
    const bench = startBench(['append', '--without-peer'], { TMPDIR: folder, BENCH_DATABASE_URL: '' })
    const begun = () => bench.output().includes('append, 1 callers: round 1')
    await eventually('the first round', begun, 45_000)
    const started = descendantsOf(bench.process.pid ?? 0)
    expect(started.length).toBeGreaterThan(3)
    bench.process.kill('SIGINT')
    expect(await bench.ended).toBe(130)
    for (const pid of started) await eventually(`process ${pid} to end`, async () => !isRunning(pid))
    expect(await readdir(folder)).toEqual([])
  })
})
