import { expect, test } from '@jest/globals'
import { createPending } from './pending.ts'

test('idle waits for tracked work, for work that begins meanwhile, and for work that fails', async () => {
  const pending = createPending()
  const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const ended: string[] = []
  void pending.track(
    first.promise.then(() => {
      void pending.track(second.promise.then(() => ended.push('second')))
      ended.push('first')
    }),
  )
  pending.track(Promise.reject(new Error('no'))).catch(() => ended.push('failed'))
  const idle = pending.idle().then(() => ended.push('idle'))
  first.resolve()
  await new Promise(setImmediate)
  expect(ended).toEqual(['first', 'failed'])
  second.resolve()
  await idle
  expect(ended).toEqual(['first', 'failed', 'second', 'idle'])
})

test('tracked work ends as the work does', async () => {
  const pending = createPending()
  await expect(pending.track(Promise.resolve(1))).resolves.toBe(1)
  await expect(pending.track(Promise.reject(new Error('no')))).rejects.toThrow('no')
  await pending.idle()
})
