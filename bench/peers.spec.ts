import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'

test('the packages of the peer are locked by their checksums, name no host, and run nothing when they are installed', () => {
  const text = readFileSync(join(import.meta.dirname, 'package-lock.json'), 'utf8')
  type Locked = { readonly resolved?: string; readonly integrity?: string; readonly hasInstallScript?: boolean }
  const { packages } = JSON.parse(text) as { packages: Readonly<Record<string, Locked>> }
  const installed = Object.entries(packages).filter(([path]) => path !== '')
  expect(installed.length).toBeGreaterThan(10)
  for (const [path, { resolved, integrity, hasInstallScript }] of installed)
    expect({ path, resolved, integrity, hasInstallScript }).toEqual({
      path,
      integrity: expect.stringMatching(/^sha512-/),
    })
})
