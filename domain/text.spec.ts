import { expect, test } from '@jest/globals'
import { counted } from './text.ts'

test.each([
  [0, '0 rows'],
  [1, '1 row'],
  [2, '2 rows'],
])('%d is counted with its noun', (count, text) => expect(counted(count, 'row')).toBe(text))
