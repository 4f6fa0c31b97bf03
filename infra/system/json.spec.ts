import { expect, test } from '@jest/globals'
import { parseJson } from './json.ts'

test.each([
  ['{"a":[1,null]}', { a: [1, null] }],
  ['null', null],
  ['', undefined],
  ['{"a":', undefined],
])('%j is read as %j', (text, value) => expect(parseJson(text)).toEqual(value))
