import { expect, test } from '@jest/globals'
import { createOnce } from './once.ts'

test('work under a key is shared while it runs, remembered when it has ended, and forgotten when it throws', async () => {
  const once = createOnce()
  const runs: string[] = []
  const gate = Promise.withResolvers<void>()
  const work = (name: string) => async () => {
    runs.push(name)
    await gate.promise
    if (name === 'bad') throw new Error('not yet')
    return name
  }
  const both = [once('a', work('one')), once('a', work('two')), once('b', work('three'))]
  gate.resolve()
  expect(await Promise.all(both)).toEqual(['one', 'one', 'three'])
  expect(await once('a', work('four'))).toBe('one')
  await expect(once('c', work('bad'))).rejects.toThrow('not yet')
  expect(await once('c', work('good'))).toBe('good')
  expect(runs).toEqual(['one', 'three', 'bad', 'good'])
})
