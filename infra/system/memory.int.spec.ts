import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'

const program = join(import.meta.dirname, '../../testing/programs/garbage.ts')

const residentBytes = async (mode: 'keep' | 'return'): Promise<number> => {
  const { stdout } = await promisify(execFile)(process.execPath, [program, mode])
  return Number(stdout)
}

test('a busy process gives back the memory of what it has dropped', async () => {
  expect(await residentBytes('return')).toBeLessThan(0.75 * (await residentBytes('keep')))
}, 60_000)
