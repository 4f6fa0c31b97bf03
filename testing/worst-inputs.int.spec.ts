// Whatever text a client sends, at any place of any operation, answering takes linear time: CPU time of a child process
// with a gateway, for the worst characters at n and at 8 n.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from '@jest/globals'
import { type Growth, growthMax } from './worst-texts.ts'

const charactersSmall = 8_000
const program = join(import.meta.dirname, 'programs/worst-inputs.ts')
const childMsMax = 170_000

test(
  'every text input of the schema is read in linear time',
  async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [program, String(charactersSmall)], {
      timeout: childMsMax,
    })
    const grown = stdout
      .split('\n')
      .filter(Boolean)
      .map((line): Growth => JSON.parse(line))
    expect(grown.length).toBeGreaterThan(80)
    expect(grown.filter(({ smallMs, largeMs }) => largeMs / smallMs >= growthMax)).toEqual([])
  },
  childMsMax,
)
