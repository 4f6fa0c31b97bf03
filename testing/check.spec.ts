import { expect, test } from '@jest/globals'
import { runParts } from './check.ts'

const node = (name: string, code: string) => ({ name, command: [process.execPath, '-e', code] })

test('a part that fails is named, with what it printed; of the others there is one line each', async () => {
  let written = ''
  const failed = await runParts(
    [
      node('types', 'console.log("all is well")'),
      node('lint', 'console.error("a.ts:1 is too long"); process.exitCode = 3'),
      node('unit', 'process.kill(process.pid, "SIGKILL")'),
    ],
    (text) => {
      written += text
    },
  )
  expect(failed.toSorted()).toEqual(['lint', 'unit'])
  expect(written).toMatch(/^types {2}ok {2}\d+\.\d s$/m)
  expect(written).toMatch(/^lint {3}FAILED \(3\) {2}\d+\.\d s\n\na\.ts:1 is too long$/m)
  expect(written).toMatch(/^unit {3}FAILED \(SIGKILL\)/m)
  expect(written).not.toContain('all is well')
})

test('nothing failed', async () => {
  expect(await runParts([node('types', '')], () => undefined)).toEqual([])
})
