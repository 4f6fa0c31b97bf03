import { closeSync } from 'node:fs'
import { appendFile, mkdtemp, readFile, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { journalFiles, type Line, openJournal, readJournal } from './journal.ts'
import { lastReceived, readReceived, receivedFile, reopenReceived } from './received.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'neuralmesh-journal-'))
})
afterEach(() => rm(folder, { recursive: true }))

const begun = (n: number): Line => ({
  is: 'begun',
  n,
  parts: [{ stream: 's', expected: 'any', ids: [`id-${n}`], digests: [n] }],
})
const stored = (n: number): Line => ({ is: 'stored', n, at: [['0', `p-${n}`]], repeated: false })
const unknown = (n: number): Line => ({ is: 'unknown', n, why: 'DATABASE_UNAVAILABLE' })
const linesOf = async (writer: string) => Array.fromAsync(readJournal(await journalFiles(folder, writer)))

describe('a journal', () => {
  test('goes on in the next life with what has no answer, and with its own numbers', async () => {
    const first = await openJournal({ folder, writer: 'w', life: 1 })
    for (const line of [begun(1), begun(2), stored(1), begun(3), unknown(3)]) await first.journal.write(line)
    await first.journal.close()
    const second = await openJournal({ folder, writer: 'w', life: 2 })
    expect(second.carried).toEqual([begun(2), begun(3)])
    expect(second.firstNumber).toBeGreaterThan(first.firstNumber)
    await second.journal.write(stored(2))
    await second.journal.close()
    const third = await openJournal({ folder, writer: 'w', life: 3 })
    expect(third.carried).toEqual([begun(3)])
    await third.journal.close()
    expect(await linesOf('w')).toEqual([
      ...[begun(1), begun(2), stored(1), begun(3), unknown(3)],
      ...[begun(2), begun(3), stored(2)],
      begun(3),
    ])
    expect(await linesOf('v')).toEqual([])
  })

  test('keeps the order of many lines that come at once, and each is there when its write has resolved', async () => {
    const { journal } = await openJournal({ folder, writer: 'w', life: 1 })
    const lines = Array.from({ length: 200 }, (_, n) => begun(n))
    await Promise.all(
      lines.map(async (line, n) => {
        await journal.write(line)
        expect((await linesOf('w')).length).toBeGreaterThan(n)
      }),
    )
    expect(await linesOf('w')).toEqual(lines)
    await journal.close()
  })

  test('may end in half a line, but have none in between', async () => {
    const { journal } = await openJournal({ folder, writer: 'w', life: 1 })
    for (const line of [begun(1), stored(1)]) await journal.write(line)
    await journal.close()
    const [file = ''] = await journalFiles(folder, 'w')
    const text = await readFile(file, 'utf8')
    for (let end = text.indexOf('\n') + 1; end < text.length - 1; end++) {
      await truncate(file, end)
      expect(await linesOf('w')).toEqual([begun(1)])
      await appendFile(file, text.slice(end))
    }
    await appendFile(file, `{"is":"beg\n${JSON.stringify(begun(2))}\n`)
    await expect(linesOf('w')).rejects.toThrow('half a line')
  })
})

describe('what a tail has seen', () => {
  const go = async (text: string) => {
    await appendFile(receivedFile(folder, 't'), text)
    const { file, last } = reopenReceived(receivedFile(folder, 't'))
    closeSync(file)
    return last
  }

  test('goes on behind its last whole line', async () => {
    expect(lastReceived(receivedFile(folder, 't'))).toBeUndefined()
    expect(await go('')).toBeUndefined()
    expect(await go('p-1 a\np-2 b\np-3')).toBe('p-2 b')
    expect(await go('p-3 c\n')).toBe('p-3 c')
    expect(lastReceived(receivedFile(folder, 't'))).toBe('p-3 c')
    const lines = readReceived(receivedFile(folder, 't'))
    const seen: string[] = []
    for (let next = await lines.next(); !next.done; next = await lines.next()) seen.push(next.value)
    expect(seen).toEqual(['p-1 a', 'p-2 b', 'p-3 c'])
  })

  test('is empty again when its first line was torn', async () => {
    expect(await go('p-1')).toBeUndefined()
    expect(await go('p-1 a\n')).toBe('p-1 a')
  })
})
