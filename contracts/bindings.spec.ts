import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from '@jest/globals'
import { bindingsFolder, freshBindings } from './build.ts'

test('the committed bindings are what the contracts compile to', () => {
  const committed = readdirSync(bindingsFolder).map(
    (file) => [file, readFileSync(new URL(file, bindingsFolder), 'utf8')] as const,
  )
  expect(new Map(committed.toSorted())).toEqual(new Map([...freshBindings()].toSorted()))
})
