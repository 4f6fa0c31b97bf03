import { expect, test } from '@jest/globals'
import { createSignal, unlessAborted } from './signal.ts'

test('wakes all that wait, and nothing that waits later', async () => {
  const signal = createSignal()
  const waiting = Promise.all([signal.wait(), signal.wait()])
  signal.notify()
  await waiting
  let woken = false
  const later = signal.wait().then(() => {
    woken = true
  })
  await new Promise(setImmediate)
  expect(woken).toBe(false)
  signal.notify()
  await later
})

test('a wait ends after its time, and when it is aborted', async () => {
  const signal = createSignal()
  await signal.wait({ ms: 1 })
  const stop = new AbortController()
  const waiting = signal.wait({ signal: stop.signal })
  stop.abort()
  await waiting
  await signal.wait({ signal: stop.signal })
})

test('what comes after the abort is dropped', async () => {
  const stop = new AbortController()
  expect(await unlessAborted(Promise.resolve(1), stop.signal)).toBe(1)
  await expect(unlessAborted(Promise.reject(new Error('before')), stop.signal)).rejects.toThrow('before')
  const late = Promise.withResolvers<number>()
  const waiting = unlessAborted(late.promise, stop.signal)
  stop.abort()
  expect(await waiting).toBeUndefined()
  late.reject(new Error('too late'))
  expect(await unlessAborted(Promise.resolve(1), stop.signal)).toBeUndefined()
})
