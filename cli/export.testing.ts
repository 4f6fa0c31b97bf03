import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { allProjections } from '../projections/all.ts'
import { startProjections } from '../projections/engine/start.ts'
import { createReadWorld } from '../projections/engine/world.testing.ts'
import { openDuckdb } from '../testing/servers/duckdb.ts'
import { createRentals } from '../testing/worlds/rentals.ts'
import { type ExportOptions, exportLog } from './export/run.ts'

/** A text that a user wrote and that no export may contain. */
export const secret = 'my-api-key-4711'

const rentals = [
  { renter: 1, gpu: 'H100', gpuCount: 2, price: 2_190_001n, runs: [301, 600, 4_000, 9_999], printed: secret },
  { renter: 2, gpu: 'H100', gpuCount: 1, price: 2_490_000n, runs: [7, 61] },
  { renter: 1, gpu: 'A100-80GB', gpuCount: 4, price: 1_190_003n, runs: [86_399, 100_001] },
  { renter: 3, gpu: 'RTX4090', gpuCount: 1, price: 340_000n, runs: [30, 60], open: true },
]

/** Makes a log of three days with its read models, a folder to export into, and a DuckDB to read it with. */
export const createExportWorld = async () => {
  const world = await createReadWorld()
  const folder = await mkdtemp(join(tmpdir(), 'neuralmesh-export-'))
  const duckdb = await openDuckdb()
  const market = createRentals(world.store)
  await market.begin()
  for (const rental of rentals) await market.rent(rental)

  const out = join(folder, 'out')
  const from = (path = out, format = 'parquet') =>
    `${format === 'parquet' ? 'read_parquet' : 'read_json'}('${path}/day=*/*.${format}', hive_partitioning = true)`
  return {
    ...world,
    market,
    folder,
    out,
    duckdb,
    from,
    export: (options: Partial<ExportOptions> = {}) =>
      exportLog({
        out,
        format: 'parquet',
        pseudonymKey: 'key',
        store: world.store,
        signal: new AbortController().signal,
        ...options,
      }),
    project: async () => {
      const projections = startProjections({ projections: allProjections, ...world })
      await projections.waitFor(await world.store.head(), 30_000)
      await projections.close()
    },
    close: async () => {
      duckdb.close()
      await rm(folder, { recursive: true, force: true })
      await world.close()
    },
  }
}

export type ExportWorld = Awaited<ReturnType<typeof createExportWorld>>

/** Resolves to the parts of an export: their hashes by path. */
export const partsOf = async (out: string): Promise<Record<string, string>> => {
  const paths = (await readdir(out, { recursive: true })).filter((path) => path.includes('part-')).toSorted()
  const sums = paths.map(async (path) => {
    const sum = createHash('sha256').update(await readFile(join(out, path)))
    return [path, sum.digest('hex')] as const
  })
  return Object.fromEntries(await Promise.all(sums))
}
