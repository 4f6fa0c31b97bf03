import { createReadStream } from 'node:fs'
import { open, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { crc32 } from 'node:zlib'
import type { Append, NewEvent } from '../../infra/event-store/port.ts'

/** What one stream gets in one append: its event ids in order, and a digest of type and data of each. */
export type Part = {
  readonly stream: string
  readonly expected: string
  readonly ids: readonly string[]
  readonly digests: readonly number[]
}

/** `n` names an append within its writer's journal. A line is on disk before its consequence: `begun` before the append
 *  is sent, the others before the caller gets the answer. */
export type Line =
  | { readonly is: 'begun'; readonly n: number; readonly parts: readonly Part[] }
  /** Acknowledged. `at` has the last revision and position of each part. */
  | {
      readonly is: 'stored'
      readonly n: number
      readonly at: readonly (readonly [revision: string, position: string])[]
      readonly repeated: boolean
    }
  /** The store answered that nothing was written. */
  | { readonly is: 'refused'; readonly n: number; readonly why: string }
  /** It is unknown whether it was written. */
  | { readonly is: 'unknown'; readonly n: number; readonly why: string }

export type Begun = Extract<Line, { is: 'begun' }>

export type Journal = {
  /** Resolves when the line is on disk. */
  write(line: Line): Promise<void>
  close(): Promise<void>
}

const appendsPerLifeMax = 10_000_000

export const digestOf = ({ type, data }: Pick<NewEvent, 'type' | 'data'>): number => crc32(JSON.stringify([type, data]))

export const partsOf = (appends: readonly Append[]): Part[] =>
  appends.map(({ stream, expected, events }) => ({
    stream,
    expected: String(expected),
    ids: events.map(({ id }) => id),
    digests: events.map(digestOf),
  }))

/** Resolves to the files of one writer's journal: one for each of its lives, in order. */
export const journalFiles = async (folder: string, writer: string): Promise<string[]> =>
  (await readdir(folder))
    .filter((name) => name.startsWith(`${writer}.`) && name.endsWith('.jsonl'))
    .sort()
    .map((name) => join(folder, name))

/** Yields the lines in order. A writer that was killed leaves half a line at the end of a file; its caller had no
 *  answer yet. */
export async function* readJournal(files: readonly string[]): AsyncGenerator<Line> {
  for (const file of files) {
    let torn = false
    for await (const text of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      if (torn) throw new Error(`${file} has half a line that is not its last`)
      const line = parse(text)
      if (line) yield line
      else torn = true
    }
  }
}

const parse = (text: string): Line | undefined => {
  try {
    return JSON.parse(text) as Line
  } catch {
    return undefined
  }
}

/** Resolves to the appends that have no answer. */
export const unanswered = async (lines: AsyncIterable<Line>): Promise<Begun[]> => {
  const open = new Map<number, Begun>()
  for await (const line of lines) {
    if (line.is === 'begun') open.set(line.n, line)
    else if (line.is !== 'unknown') open.delete(line.n)
  }
  return [...open.values()]
}

/** Begins the journal of one life of a writer. With `carry` it starts with the unanswered appends of earlier lives, all
 *  or none of them, so the next life reads no older file than this. Resolves to these appends too. */
export const openJournal = async (options: {
  readonly folder: string
  readonly writer: string
  readonly life: number
  readonly carry?: boolean
}): Promise<{ readonly journal: Journal; readonly carried: readonly Begun[]; readonly firstNumber: number }> => {
  const { folder, writer, life, carry = true } = options
  const last = (await journalFiles(folder, writer)).slice(-1)
  const carried = carry ? await unanswered(readJournal(last)) : []
  const path = join(folder, `${writer}.${String(life).padStart(6, '0')}.jsonl`)
  const file = await open(`${path}.new`, 'w')
  await file.write(carried.map((line) => `${JSON.stringify(line)}\n`).join(''))
  await file.datasync()
  await rename(`${path}.new`, path)

  let waiting: { text: string; done: () => void; failed: (error: unknown) => void }[] = []
  let writing: Promise<void> | undefined
  /** Writes and syncs once all lines that came while the disk was busy. */
  const flush = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        await file.appendFile(batch.map(({ text }) => text).join(''))
        await file.datasync()
        for (const { done } of batch) done()
      } catch (error) {
        for (const { failed } of batch) failed(error)
      }
    }
    writing = undefined
  }
  return {
    carried,
    firstNumber: life * appendsPerLifeMax,
    journal: {
      write: (line) =>
        new Promise((done, failed) => {
          waiting.push({ text: `${JSON.stringify(line)}\n`, done, failed })
          writing ??= flush()
        }),
      close: async () => {
        await writing
        await file.close()
      },
    },
  }
}
