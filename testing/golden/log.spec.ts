// Yesterday's events can still be read: domain/golden-log/ holds a history with every event type in every version, as
// it was stored, and what was made of it. Lines are only ever added (UPDATE=1 adds those for new types and versions,
// and writes anew what today's folds make of all of them: look at that diff). Each rule is a function from the log to
// its complaints; at the end each is shown a log, or a program, that breaks it.

import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { z } from 'zod'
import { type Aggregate, aggregates, type DomainEvent } from '../../domain/aggregates.ts'
import { decodeEvent, type EventSchema, field } from '../../domain/events.ts'
import { assets } from '../../domain/money.ts'
import { entriesOf } from '../../domain/persistent-map.testing.ts'
import type { PersistentMap } from '../../domain/persistent-map.ts'
import { createMemoryEventStore } from '../../infra/event-store/memory.ts'
import { allProjections } from '../../projections/all.ts'
import { foldStream } from '../../projections/engine/log.testing.ts'
import { digestOf, fromLine, goldenFolder, linesOf, loadEvents, loadGoldenLog, toLine } from './log.ts'
import { chapterNames, playChapter } from './story.ts'

type AnyAggregate = Aggregate<never, DomainEvent, unknown>
type Aggregates = Readonly<Record<string, AnyAggregate>>
const ours = aggregates as unknown as Aggregates

/** Returns what must stay forever: each type in each version, in it each code, and money in each asset. */
const kindsOf = (line: string): string[] => {
  const { type, data, metadata } = fromLine(line)
  const kind = `${type} v${metadata.schemaVersion}`
  const code = (data as { readonly code?: string }).code
  return [kind, ...(code ? [`${kind} ${code}`] : []), ...assets.filter((asset) => line.includes(`"${asset}"`))]
}

/** Returns every type in every version that the program can read, as `RentalRequested v1`. */
const knownKinds = (known: Aggregates): string[] =>
  Object.values(known).flatMap(({ schemas }) =>
    Object.entries<EventSchema<unknown>>(schemas).flatMap(([type, { version }]) =>
      Array.from({ length: version }, (_, before) => `${type} v${before + 1}`),
    ),
  )

const missingComplaints = (lines: readonly string[], known = ours): string[] => {
  const kept = new Set(lines.flatMap(kindsOf))
  return [...knownKinds(known), ...assets]
    .filter((kind) => !kept.has(kind))
    .map((kind) => `the golden log has no ${kind}`)
}

const changeComplaints = (lines: readonly string[], digests: readonly string[]): string[] => [
  ...digests.flatMap((digest, index) => {
    const line = lines[index]
    if (line === undefined) return [`line ${index + 1} was removed`]
    return digestOf(line) === digest ? [] : [`line ${index + 1} is not what it was`]
  }),
  ...lines.slice(digests.length).map((_, index) => `line ${digests.length + index + 1} has no digest`),
]

/** Folds each stream. Returns the states, and complaints about events that cannot be read or folded. */
const foldStates = (lines: readonly string[], known = ours) => {
  const states: Record<string, unknown> = {}
  const complaints: string[] = []
  for (const [index, line] of lines.entries()) {
    const { stream, type, data, metadata } = fromLine(line)
    const aggregate = known[stream.slice(0, stream.indexOf('-'))]
    try {
      if (!aggregate) throw new Error(`No aggregate has the stream ${stream}`)
      const { initial, evolve, schemas } = aggregate
      const event = decodeEvent<DomainEvent>(schemas, { type, version: metadata.schemaVersion, data })
      states[stream] = evolve(states[stream] ?? initial, event)
    } catch (error) {
      complaints.push(
        `line ${index + 1}, ${type} v${metadata.schemaVersion}: ${error instanceof Error ? error.message : String(error)}`,
      )
    }
  }
  return { states, complaints }
}

/** Returns JSON for people, with an indent of two spaces. */
const readable = (value: unknown): string => `${JSON.stringify(value, (_, inner) => plainOf(inner), 2)}\n`

const plainOf = (value: unknown): unknown => {
  if (value instanceof Map) return Object.fromEntries(value)
  if (typeof value === 'object' && value !== null && 'root' in value && 'size' in value)
    return Object.fromEntries(entriesOf(value as PersistentMap<unknown>))
  return typeof value === 'bigint' ? String(value) : value
}

/** Resolves to all that the program makes of the log: the state of each stream, and the rows of each read model. */
const replay = async (lines: readonly string[], known = ours): Promise<string> => {
  const store = createMemoryEventStore({ id: 'golden' })
  await loadEvents(store, lines.map(fromLine))
  const events = await Array.fromAsync(store.readAll())
  // Positions belong to the store, and each row has one under the same name.
  const rows = allProjections.map((projection) => [
    projection.name,
    Object.fromEntries([...foldStream(projection, events)].map(([key, { position, ...row }]) => [key, row])),
  ])
  return readable({ states: foldStates(lines, known).states, rows: Object.fromEntries(rows) })
}

const dayMs = 86_400_000
const beginning = '2026-01-01T00:00:00.000Z'

/** Resolves to the lines to add for the types and versions that are missing: the chapters that have them, run by
 *  today's program with new people. Today's program can no longer write an older version. */
const additionsTo = async (lines: readonly string[]): Promise<string[]> => {
  const added: string[] = []
  for (const chapter of chapterNames) {
    const kept = new Set([...lines, ...added].flatMap(kindsOf))
    const last = added.at(-1) ?? lines.at(-1)
    const start = last ? new Date(Date.parse(fromLine(last).metadata.time) + dayMs).toISOString() : beginning
    const store = createMemoryEventStore()
    await playChapter(store, chapter, `from line ${lines.length + 1}`, start)
    const written = (await Array.fromAsync(store.readAll())).map(toLine)
    if (written.flatMap(kindsOf).some((kind) => !kept.has(kind))) added.push(...written)
  }
  return added
}

const pathOf = (file: string) => join(goldenFolder, file)

if (process.env.UPDATE === '1') {
  mkdirSync(goldenFolder, { recursive: true })
  for (const file of ['events.jsonl', 'digests.txt']) appendFileSync(pathOf(file), '')
  const added = await additionsTo(linesOf('events.jsonl'))
  appendFileSync(pathOf('events.jsonl'), added.map((line) => `${line}\n`).join(''))
  const news = linesOf('events.jsonl').slice(linesOf('digests.txt').length)
  appendFileSync(pathOf('digests.txt'), news.map((line) => `${digestOf(line)}\n`).join(''))
  writeFileSync(pathOf('replayed.json'), await replay(linesOf('events.jsonl')))
}

const lines = linesOf('events.jsonl')
const digests = linesOf('digests.txt')

describe('the golden log', () => {
  test('has every event type in every version', () => expect(missingComplaints(lines)).toEqual([]))
  test('is what it was, and has only grown', () => expect(changeComplaints(lines, digests)).toEqual([]))
  test('can be read and folded by every aggregate', () => expect(foldStates(lines).complaints).toEqual([]))
  test('gives the same states and rows as ever (UPDATE=1 writes them anew)', async () =>
    expect(await replay(lines)).toBe(readFileSync(pathOf('replayed.json'), 'utf8')))
  test('loads into a store as it stands, once', async () => {
    const store = createMemoryEventStore()
    await loadGoldenLog(store)
    expect(await loadGoldenLog(store)).toBe(await store.head())
    expect((await Array.fromAsync(store.readAll())).map(toLine)).toEqual(lines)
  })
})

describe('what is missing is added again', () => {
  test('all of it for an empty log', async () => {
    const added = await additionsTo([])
    const today = Object.values(ours).flatMap(({ schemas }) =>
      Object.entries<EventSchema<unknown>>(schemas).map(([type, { version }]) => `${type} v${version}`),
    )
    expect(added.flatMap(kindsOf)).toEqual(expect.arrayContaining(today))
    expect(await additionsTo([])).toEqual(added)
  })
  test('nothing for one that has it all', async () => expect(await additionsTo(lines)).toEqual([]))
  test('and a chapter for what one lacks, of other people and later', async () => {
    const without = lines.filter((line) => fromLine(line).type !== 'DepositVanished')
    const added = await additionsTo(without)
    expect(missingComplaints([...without, ...added])).toEqual([])
    expect(added.length).toBeLessThan(10)
    const streams = new Set(lines.map((line) => fromLine(line).stream))
    expect(added.filter((line) => streams.has(fromLine(line).stream))).toEqual([])
    const times = [...lines, ...added].map((line) => fromLine(line).metadata.time)
    expect(times).toEqual(times.toSorted())
    await loadEvents(createMemoryEventStore(), [...lines, ...added].map(fromLine))
  })
})

describe('a log that was touched is complained about', () => {
  const second = lines[1] ?? ''
  test.each<[string, string[], string]>([
    ['changed', lines.with(1, second.replace('"metadata"', ' "metadata"')), 'line 2 is not what it was'],
    ['removed in the middle', lines.toSpliced(1, 1), 'line 2 is not what it was'],
    ['removed at the end', lines.slice(0, -1), `line ${lines.length} was removed`],
    ['put in between', lines.toSpliced(1, 0, second), `line ${lines.length + 1} has no digest`],
    ['added without its digest', [...lines, second], `line ${lines.length + 1} has no digest`],
  ])('a line %s', (_, touched, complaint) => expect(changeComplaints(touched, digests)).toContain(complaint))
})

describe('a program that cannot read it is complained about', () => {
  /** Returns today's program with another rule for one event of the rental. */
  const withRental = (change: Partial<AnyAggregate>): Aggregates => ({
    ...ours,
    rental: { ...(ours.rental as AnyAggregate), ...change },
  })
  const withMetered = (entry: EventSchema<unknown>) =>
    withRental({ schemas: { ...aggregates.rental.schemas, UsageMetered: entry } as unknown as AnyAggregate['schemas'] })
  const shape = { runSeconds: field.seconds, fee: field.money, total: field.money, meteredAt: field.time }
  const metered = (type: string) => lines.filter((line) => fromLine(line).type === type).length

  test('a field that was added without a new version', () => {
    const { complaints } = foldStates(
      lines,
      withMetered({ version: 1, schema: z.object({ ...shape, gpus: field.count }) }),
    )
    expect(complaints.filter((complaint) => complaint.includes('UsageMetered v1'))).toHaveLength(
      metered('UsageMetered'),
    )
    expect(complaints[0]).toMatch(/^line \d+, UsageMetered v1: .*gpus/s)
  })
  test('a unit that was changed without a new version', async () => {
    const minutes = z.codec(z.string(), z.bigint(), {
      decode: (text) => BigInt(text) * 60n,
      encode: (value) => String(value / 60n),
    })
    const inMinutes = withMetered({ version: 1, schema: z.object({ ...shape, runSeconds: minutes }) })
    expect(foldStates(lines, inMinutes).complaints).toEqual([])
    expect(await replay(lines, inMinutes)).not.toBe(await replay(lines))
  })
  test('a new version that is not in the log, though the old one can be read', () => {
    const next = withMetered({
      version: 2,
      schema: z.object({ ...shape, gpus: field.count }),
      upcasts: { 1: (data) => ({ ...data, gpus: 1 }) },
    })
    expect(foldStates(lines, next).complaints).toEqual([])
    expect(missingComplaints(lines, next)).toEqual(['the golden log has no UsageMetered v2'])
  })
  test('a fold that no longer accepts a stored event', () => {
    const evolve = () => {
      throw new Error('History is corrupt')
    }
    expect(foldStates(lines, withRental({ evolve })).complaints[0]).toMatch(/RentalRequested v1: History is corrupt/)
  })
  test('a removed aggregate', () => {
    const { provider, ...rest } = ours
    expect(foldStates(lines, rest).complaints[0]).toContain('No aggregate has the stream provider-')
  })
})
