import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { afterPrefix } from './pages.ts'

const bytes = (text: string) => Buffer.from(text)
const textOf = fc.string({
  unit: fc.constantFrom('a', '~', '\u007f', 'ä', '\ud7ff', '\ue000', '\u{10ffff}', '\u{10000}'),
})

test.each([
  ['', undefined],
  ['a', 'b'],
  ['a\u{10ffff}', 'b'],
  ['\ud7ff', '\ue000'],
  ['\uffff', '\u{10000}'],
  ['\u{10ffff}\u{10ffff}', undefined],
])('after all that begin with %j comes %j', (prefix, end) => expect(afterPrefix(prefix)).toBe(end))

test('a text is in the range of a prefix exactly when it begins with the prefix', () => {
  fc.assert(
    fc.property(textOf, textOf, fc.boolean(), (prefix, other, joined) => {
      const text = joined ? prefix + other : other
      const end = afterPrefix(prefix)
      const inside =
        Buffer.compare(bytes(text), bytes(prefix)) >= 0 &&
        (end === undefined || Buffer.compare(bytes(text), bytes(end)) < 0)
      expect(inside).toBe(text.startsWith(prefix))
    }),
  )
})
