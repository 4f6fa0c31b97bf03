// Holds docs/limits.md to the registered bounds.
import { readFileSync, writeFileSync } from 'node:fs'
import { posix } from 'node:path'
import { beforeAll, expect, test } from '@jest/globals'
import type { Bound } from '../infra/async/bounded.ts'
import { root } from './docs.testing.ts'
import { limitsPage, loadBounds, registering } from './limits.testing.ts'

const path = posix.join(root, 'docs/limits.md')
let bounds: readonly (readonly [Bound, string])[]

beforeAll(async () => {
  bounds = await loadBounds()
})

test('docs/limits.md lists the registered bounds (UPDATE=1 writes it)', () => {
  if (process.env.UPDATE === '1') writeFileSync(path, limitsPage(bounds))
  expect(readFileSync(path, 'utf8')).toBe(limitsPage(bounds))
})

test('each file that registers a bound is in the table', () =>
  expect([...new Set(bounds.map(([, file]) => file))].toSorted()).toEqual(registering().toSorted()))

test.each(['name', 'holds'] as const)('no two bounds have the same %s', (field) => {
  const values = bounds.map(([bound]) => bound[field])
  expect(values).toEqual([...new Set(values)])
})
