import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createKeyedQueue, createKeyedRunner } from './keyed-queue.ts'

type Work = { readonly name: number; readonly keys: readonly string[] }

test('work that shares no key starts at once, and work that does waits for all before it', () => {
  const queue = createKeyedQueue<Work>()
  const [ab, b, bc, c] = [['a', 'b'], ['b'], ['b', 'c'], ['c']].map((keys, name) => ({ name, keys })) as Work[] as [
    Work,
    Work,
    Work,
    Work,
  ]
  expect([ab, b, bc, c].map((work) => queue.enter(work))).toEqual([true, false, false, false])
  expect(queue.leave(ab)).toEqual([b])
  expect(queue.leave(b)).toEqual([bc])
  expect(queue.leave(bc)).toEqual([c])
  expect(queue.leave(c)).toEqual([])
  expect(queue.enter(ab)).toBe(true)
})

test('in any order of endings: all start, none while another holds its key, and per key in their order', () => {
  const keys = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { minLength: 1 })
  fc.assert(
    fc.property(fc.array(keys, { maxLength: 30 }), fc.infiniteStream(fc.nat()), (keysOfWorks, choices) => {
      const queue = createKeyedQueue<Work>()
      const works = keysOfWorks.map((keys, name): Work => ({ name, keys }))
      const running = works.filter((work) => queue.enter(work))
      const done: Work[] = []
      for (const choice of choices) {
        const held = running.flatMap(({ keys }) => keys)
        expect(held).toHaveLength(new Set(held).size)
        const [ending] = running.splice(choice % Math.max(1, running.length), 1)
        if (!ending) break
        done.push(ending)
        running.push(...queue.leave(ending))
      }
      for (const key of ['a', 'b', 'c', 'd']) {
        const having = (all: readonly Work[]) => all.filter((work) => work.keys.includes(key))
        expect(having(done)).toEqual(having(works))
      }
    }),
  )
})

test('work of one key runs in order, of several at once, and work that fails holds up nothing', async () => {
  const inOrder = createKeyedRunner()
  const gate = Promise.withResolvers<void>()
  const done: string[] = []
  const work =
    (name: string, until: Promise<void> = Promise.resolve()) =>
    async () => {
      await until
      done.push(name)
      if (name === 'fails') throw new Error(name)
      return name
    }
  const first = inOrder('a', work('first', gate.promise))
  const fails = inOrder('a', work('fails'))
  const last = inOrder('a', work('last'))
  expect(await inOrder('b', work('other'))).toBe('other')
  gate.resolve()
  await expect(fails).rejects.toThrow('fails')
  expect(await Promise.all([first, last])).toEqual(['first', 'last'])
  expect(done).toEqual(['other', 'first', 'fails', 'last'])
})

test('work under several keys begins at once when all are free, else never; later work waits for it', async () => {
  const inOrder = createKeyedRunner()
  const gate = Promise.withResolvers<void>()
  const done: string[] = []
  const both = inOrder.now(['a', 'b'], async () => {
    await gate.promise
    done.push('both')
    return 'both'
  })
  const after = ['a', 'b'].map((key) => inOrder(key, async () => void done.push(key)))
  for (const keys of [['a'], ['c', 'b']]) expect(inOrder.now(keys, async () => void done.push('never'))).toBeUndefined()
  expect(await inOrder.now(['c'], async () => 'free')).toBe('free')
  gate.resolve()
  expect(await both).toBe('both')
  await Promise.all(after)
  expect(done).toEqual(['both', 'a', 'b'])
  const failing = inOrder.now(['a', 'b'], async () => {
    throw new Error('it fails')
  })
  await expect(failing).rejects.toThrow('it fails')
  expect(await inOrder.now(['a', 'b'], async () => 'free again')).toBe('free again')
})
