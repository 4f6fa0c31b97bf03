// Measures ours, the peer and PostgreSQL itself side by side: npm run bench -- NAME… | all
import { pathToFileURL } from 'node:url'
import { createShutdown } from '../infra/shutdown.ts'
import { reportOf } from '../infra/system/report.ts'
import { createLog } from '../infra/telemetry.ts'
import { benches } from './benches.ts'
import type { ContestantName } from './contestants.ts'
import { findEventStoreDb } from './eventstoredb/server.ts'
import { describeMachine } from './machine.ts'
import { type Options, readOptions } from './options.ts'
import { installPeers } from './peers.ts'
import { type Contestant, startContestant } from './processes.ts'
import { type Figures, figuresOf } from './rows.ts'
import { noServer, openServer } from './server.ts'
import { terminalTable } from './table.ts'
import type { World } from './world.ts'

const nameWidth = Math.max(...benches.map(({ name }) => name.length))

const usage = `npm run bench -- NAME… [--rounds N] [--events N] [--json] [--quick] [--without-peer] [--eventstore FILE]
  NAME               ${benches.map(({ name }) => name).join(', ')}, or all
  --rounds N         how often each is measured; the figure is the median (5)
  --events N         another size for catch-up, project, growth and eventstoredb
  --json             one JSON object per line
  --quick            tiny sizes, one round, no peer: only whether everything runs
  --without-peer     do not install and measure the peer
  --eventstore FILE  a JSON list of nodes of an EventStoreDB with url, pidFile and start; the first is started

  EVENTSTORE_URL=esdb://…          an EventStoreDB or KurrentDB to use; without either, its bench is left out
  BENCH_DATABASE_URL=postgres://…  a server to use (its user must be allowed to create databases); one is started when
                                   not set

${benches.map(({ name, about }) => `  ${name.padEnd(nameWidth)}  ${about}`).join('\n')}`

const progress = (line: string): void => {
  process.stderr.write(`${line}\n`)
}

const run = async (options: Options): Promise<void> => {
  const log = createLog({ level: 'warn', format: 'pretty' }, process.stderr)
  const shutdown = createShutdown(createLog({ level: 'silent', format: 'json' }), {
    on: (signal, listener) => process.on(signal, listener),
    off: (signal, listener) => process.off(signal, listener),
    exit: (code) => process.exit(code === 0 ? 130 : code),
  })
  shutdown.onSignals()
  try {
    await measure(options, { log, shutdown })
  } catch (error) {
    if (!shutdown.signal.aborted) throw error
  } finally {
    await shutdown.stop('done')
  }
}

const measure = async (
  options: Options,
  { log, shutdown }: { log: ReturnType<typeof createLog>; shutdown: ReturnType<typeof createShutdown> },
): Promise<void> => {
  const { names, rounds, quick, events, json, peer } = options
  if (peer) await installPeers(progress, shutdown.signal)
  const machine = describeMachine(quick ? 20 : 1_000)
  const asked = benches.filter(({ name }) => names.includes(name))
  const serverOptions = { url: process.env.BENCH_DATABASE_URL || undefined, careless: quick, log, shutdown }
  const server = asked.every(({ engine }) => engine === 'EventStoreDB') ? noServer : await openServer(serverOptions)
  const eventStoreDb = asked.some(({ engine }) => engine === 'EventStoreDB')
    ? await findEventStoreDb({ url: process.env.EVENTSTORE_URL || undefined, file: options.eventstore, shutdown })
    : undefined
  const settings = { ...server.settings, ...(eventStoreDb && { eventstoredb_version: eventStoreDb.version }) }
  for (const [name, value] of Object.entries({ ...machine, ...settings })) progress(`${name.padEnd(20)} ${value}`)
  const running = new Map<ContestantName, Contestant>()
  const endContestants = async () => {
    const all = [...running.values()]
    running.clear()
    await Promise.all(all.map((contestant) => contestant.close()))
  }
  shutdown.add('contestants', endContestants)
  const rows: Figures[] = []
  for (const bench of asked) {
    const world: World = {
      server,
      countingServer: () => openServer({ ...serverOptions, counting: true }),
      rounds,
      quick,
      events,
      peer,
      process: (name) => {
        const known = running.get(name) ?? startContestant(name)
        running.set(name, known)
        return known
      },
      report: (row) => {
        const figures = figuresOf(row)
        rows.push(figures)
        if (json) process.stdout.write(`${JSON.stringify({ ...figures, machine: { ...machine, ...settings } })}\n`)
      },
      progress,
      signal: shutdown.signal,
      eventStoreDb,
    }
    await bench.run(world)
    await endContestants()
  }
  if (!json && rows.length > 0) process.stdout.write(`\n${terminalTable(rows)}\n`)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    const options = readOptions(
      process.argv.slice(2),
      benches.map(({ name }) => name),
    )
    if (options.help || options.names.length === 0) process.stdout.write(`${usage}\n`)
    else await run(options)
  } catch (error) {
    process.stderr.write(`${reportOf(error).message}\n`)
    process.exitCode = 1
  }
}
