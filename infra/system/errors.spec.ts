import { readFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { errorCode } from './errors.ts'

test('the code of an error of the file system', async () =>
  expect(errorCode(await readFile('/nothing/here').catch((error: unknown) => error))).toBe('ENOENT'))

test.each([
  ['a text', { code: '55P03' }, '55P03'],
  ['a number', { code: 7 }, undefined],
  ['none', new Error('without'), undefined],
  ['no error: null', null, undefined],
  ['no error: undefined', undefined, undefined],
  ['no error: a text', 'code', undefined],
])('%s', (_what, error, code) => expect(errorCode(error)).toBe(code))
