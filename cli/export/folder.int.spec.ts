import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { createMemoryEventStore } from '../../infra/event-store/memory.ts'
import { runChild } from '../../testing/children.ts'
import { createExportWorld, type ExportWorld, partsOf } from '../export.testing.ts'
import type { Manifest } from './folder.ts'

let world: ExportWorld
beforeEach(async () => {
  world = await createExportWorld()
})
afterEach(() => world.close())

const manifestOf = async (out: string): Promise<Manifest> =>
  JSON.parse(await readFile(join(out, 'manifest.json'), 'utf8'))
const program = fileURLToPath(new URL('../../testing/programs/export.ts', import.meta.url))

describe('an export that is killed', () => {
  test('goes on where its last whole round ended, and becomes the same as one of a single run, byte by byte', async () => {
    const limits = { roundEvents: 11, groupEvents: 7, batchEvents: 5 }
    const whole = join(world.folder, 'whole')
    const { manifest } = await world.export({ out: whole, pseudonymKey: undefined, limits })
    const planned = Object.fromEntries(manifest.files.map(({ path, sha256 }) => [path, sha256]))
    for (const stopAt of [0, 10, 25]) {
      const env = { DATABASE_URL: world.url, OUT: world.out, ROUND: '11', STOP_AT: String(stopAt) }
      const child = runChild(`await import(${JSON.stringify(program)})`, { env })
      expect(Number(await child.firstLine)).toBe(stopAt)
      await child.kill()
      const known = await manifestOf(world.out)
      expect(await partsOf(world.out)).toEqual(
        Object.fromEntries(known.files.map(({ path, sha256 }) => [path, sha256])),
      )
      expect(planned).toMatchObject(await partsOf(world.out))
    }
    const before = (await manifestOf(world.out)).events
    expect(before).toBe(22)
    await world.export({ pseudonymKey: undefined, limits })
    expect(await manifestOf(world.out)).toEqual(manifest)
    expect(await partsOf(world.out)).toEqual(await partsOf(whole))
    const [sums] = await world.duckdb.ask(
      `select count(*) as rows, count(distinct position) as events from ${world.from()}`,
    )
    expect(sums).toEqual({ rows: String(manifest.events), events: String(manifest.events) })
  }, 60_000)

  test('between naming its parts and writing the manifest makes the same parts again', async () => {
    const limits = { roundEvents: 11 }
    const all = await Array.fromAsync(world.store.readAll())
    await world.export({ limits, to: `${all[21]?.position}` })
    const early = await readFile(join(world.out, 'manifest.json'))
    const { manifest } = await world.export({ limits })
    const parts = await partsOf(world.out)
    await writeFile(join(world.out, 'manifest.json'), early)
    expect((await world.export({ limits })).events).toBe(all.length - 22)
    expect(await manifestOf(world.out)).toEqual(manifest)
    expect(await partsOf(world.out)).toEqual(parts)
  })

  test('leaves parts that no manifest names, and the next run removes them', async () => {
    await world.export({ limits: { roundEvents: 20 } })
    const parts = await partsOf(world.out)
    await mkdir(join(world.out, 'day=2025-12-31'))
    await writeFile(join(world.out, 'day=2025-12-31', 'part-000000000099.parquet'), 'half')
    await mkdir(join(world.out, '.writing'))
    await writeFile(join(world.out, '.writing', '2025-12-31.parquet'), 'half')
    await world.export()
    expect(await partsOf(world.out)).toEqual(parts)
  })

  test('by Ctrl-C keeps its whole rounds', async () => {
    const stop = new AbortController()
    const onProgress = (_: number, events: number) => events > 30 && stop.abort(new Error('enough'))
    const limits = { roundEvents: 20, batchEvents: 5 }
    await expect(world.export({ signal: stop.signal, onProgress, limits })).rejects.toThrow('enough')
    expect(await manifestOf(world.out)).toMatchObject({ events: 20 })
    await world.export({ limits })
    const again = join(world.folder, 'again')
    await world.export({ out: again, limits })
    expect(await partsOf(world.out)).toEqual(await partsOf(again))
  })
})

describe('an export that is run again', () => {
  test('adds later events as new parts, also to an earlier day, and leaves the other parts unchanged', async () => {
    const first = await world.export()
    expect((await world.export()).events).toBe(0)
    const before = await partsOf(world.out)
    world.market.pass(-86_400)
    await world.market.list('late', 1)
    const second = await world.export()
    expect(second.events).toBe(1)
    const after = await partsOf(world.out)
    expect(after).toMatchObject(before)
    const [added] = Object.keys(after).filter((path) => !(path in before))
    expect(added).toBe(`day=2026-01-01/part-${String(first.manifest.events + 1).padStart(12, '0')}.parquet`)
    expect(await world.duckdb.ask(`select count(*) as events from ${world.from()}`)).toEqual([
      { events: String(second.manifest.events) },
    ])
  })

  test('may end at a position or before a moment, and go on later', async () => {
    const all = await Array.fromAsync(world.store.readAll())
    const tenth = all[9]
    expect((await world.export({ to: `${tenth?.position}` })).manifest).toMatchObject({
      events: 10,
      position: tenth?.position,
    })
    const nextDay = all.findIndex(({ metadata }) => metadata.time >= '2026-01-02')
    expect((await world.export({ to: '2026-01-02' })).manifest.events).toBe(nextDay)
    expect((await world.export({ to: `${tenth?.position}` })).events).toBe(0)
    expect((await world.export()).manifest.events).toBe(all.length)
  })
})

describe('a folder is refused', () => {
  const refuses = async (options: Parameters<ExportWorld['export']>[0], code: string, details: object = {}) =>
    expect(world.export(options)).rejects.toMatchObject({ code, details })

  test('that holds something else', async () => {
    await mkdir(world.out)
    await writeFile(join(world.out, 'thesis.txt'), 'mine')
    await refuses({}, 'EXPORT_FOLDER_FOREIGN', { holds: 'thesis.txt' })
    await writeFile(join(world.out, 'manifest.json'), '{"kind":"something else"}')
    await refuses({}, 'EXPORT_FOLDER_FOREIGN', { holds: 'a manifest.json of something else' })
    expect(await readFile(join(world.out, 'thesis.txt'), 'utf8')).toBe('mine')
  })

  test('that was made in another way', async () => {
    await world.export()
    await refuses({ format: 'jsonl' }, 'EXPORT_FOLDER_DIFFERS', { differs: '--format', found: 'parquet', now: 'jsonl' })
    await refuses({ pseudonymKey: undefined }, 'EXPORT_FOLDER_DIFFERS', { differs: '--include-personal-data' })
    await refuses({ pseudonymKey: 'another' }, 'EXPORT_FOLDER_DIFFERS', { differs: 'DATA_DIR/keys/export' })
    await refuses({ store: createMemoryEventStore() }, 'POSITION_FOREIGN')
  })

  test('that has lost a part', async () => {
    const { manifest } = await world.export()
    const path = join(world.out, manifest.files[0]?.path ?? '')
    await truncate(path, 10)
    await refuses({}, 'EXPORT_FOLDER_DIFFERS', { file: manifest.files[0]?.path, differs: 'its size' })
    await rm(path)
    await refuses({}, 'EXPORT_FOLDER_DIFFERS', { differs: 'it is missing' })
  })

  test('while another export writes into it', async () => {
    const meanwhile: Promise<void>[] = []
    await world.export({
      onProgress: () => void meanwhile.push(refuses({}, 'EXPORT_FOLDER_IN_USE', { pid: String(process.pid) })),
    })
    expect(meanwhile.length).toBeGreaterThan(0)
    await Promise.all(meanwhile)
  })

  test('that cannot be written', () =>
    refuses({ out: '/dev/null/out' }, 'EXPORT_FOLDER_UNWRITABLE', { reason: expect.stringContaining('ENOTDIR') }))
})
