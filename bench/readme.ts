// Writes the last figures into the page: node bench/readme.ts, after
// npm run -s bench -- all --json > bench/figures.jsonl
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Machine } from './machine.ts'
import type { Figures } from './rows.ts'
import { markdownTable } from './table.ts'

type Line = Figures & { readonly machine: Machine & Readonly<Record<string, string | number>> }

const beginMark = '<!-- figures: written by readme.ts -->'
const endMark = '<!-- end of figures -->'

const rangeOf = (values: readonly number[]): string => {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return low === high ? String(low) : `${low} to ${high}`
}

const enginesText = (machine: Line['machine']): string => {
  const { server_version, shared_buffers, synchronous_commit, eventstoredb_version } = machine
  const engines = [
    server_version &&
      `PostgreSQL ${server_version} with shared_buffers ${shared_buffers} and synchronous_commit ${synchronous_commit}`,
    eventstoredb_version && `EventStoreDB ${eventstoredb_version} with its own defaults`,
  ]
  return engines.filter(Boolean).join(', ')
}

const machineText = (machines: readonly Line['machine'][]): string => {
  const kinds = machines.map((machine) => {
    const { processor, cores, memoryGib, node } = machine
    return `${processor}, ${cores} cores, ${memoryGib} GiB, Node ${node}, ${enginesText(machine)}`
  })
  const syncs = rangeOf(machines.map(({ syncsPerSecond }) => syncsPerSecond))
  const load = rangeOf(machines.map((machine) => machine.load))
  return `${[...new Set(kinds)].join('; ')}. Its disk took ${syncs} writes of 8 KiB with fdatasync per second before the runs, and its load average was ${load}.`
}

/** Returns when, and of which commit, the rows are: the benches of each run. */
const runsText = (rows: readonly Line[]): string => {
  const runs = new Map<string, Set<string>>()
  for (const { bench, machine } of rows) {
    const run = `on ${machine.date} of ${machine.commit || 'files without a commit'}`
    runs.set(run, (runs.get(run) ?? new Set()).add(bench.split(/,| of /)[0] ?? bench))
  }
  return `Measured ${[...runs].map(([run, names]) => `${run}: ${[...names].join(', ')}`).join('; ')}.`
}

/** Returns the figures of a file of JSON lines as a part of the page. The last line of a repeated bench counts. */
export const figuresText = (lines: string): string => {
  const rows = new Map<string, Line>()
  for (const line of lines.split('\n')) {
    if (line === '') continue
    const row = JSON.parse(line) as Line
    rows.set(`${row.bench} ${row.callers}`, row)
  }
  const all = [...rows.values()]
  return `${markdownTable(all)}\n\n${runsText(all)} ${machineText(all.map(({ machine }) => machine))}`
}

/** Returns the page with the figures between its marks. Throws when the marks are missing. */
export const withFigures = (page: string, lines: string): string => {
  const [begin, end] = [page.indexOf(beginMark), page.indexOf(endMark)]
  if (begin < 0 || end < begin) throw new Error(`the page has no place for figures between ${beginMark} and ${endMark}`)
  return `${page.slice(0, begin)}${beginMark}\n${figuresText(lines)}\n${page.slice(end)}`
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const path = join(import.meta.dirname, 'README.md')
  const lines = await readFile(join(import.meta.dirname, 'figures.jsonl'), 'utf8')
  await writeFile(path, withFigures(await readFile(path, 'utf8'), lines))
}
