// Holds docs/lifecycles.md to the lifecycle tables of the aggregates.
import { readFileSync, writeFileSync } from 'node:fs'
import { posix } from 'node:path'
import { expect, test } from '@jest/globals'
import { root } from './docs.testing.ts'
import { lifecyclesPage } from './lifecycles.testing.ts'

const path = posix.join(root, 'docs/lifecycles.md')

test('docs/lifecycles.md is printed from the lifecycle tables (UPDATE=1 writes it)', () => {
  if (process.env.UPDATE === '1') writeFileSync(path, lifecyclesPage())
  expect(readFileSync(path, 'utf8')).toBe(lifecyclesPage())
})
