import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { validate, version } from 'uuid'
import { eventIdOf, newId } from './ids.ts'

const moment = fc
  .date({ min: new Date(0), max: new Date('9999-12-31T23:59:59.999Z'), noInvalidDate: true })
  .map((date) => date.toISOString())

test('ids of events are UUIDs in the order of their time', () => {
  fc.assert(
    fc.property(fc.string(), fc.nat(9), moment, fc.string(), fc.nat(9), moment, (one, n, early, two, m, late) => {
      const [a, b] = [eventIdOf(one, n, early), eventIdOf(two, m, late)]
      expect([validate(a), version(a)]).toEqual([true, 8])
      if (early !== late) expect(a < b).toBe(early < late)
    }),
  )
})

test('the same command at the same time has the same ids, another event or another command others', () => {
  const time = '2026-01-02T03:04:05.678Z'
  expect(eventIdOf('command', 0, time)).toBe('019b7ca9-8f2e-834c-94e4-5cd1ab7df0fa')
  const ids = ['a', 'b', 'c'].flatMap((command) => [0, 1, 2].map((index) => eventIdOf(command, index, time)))
  expect(new Set(ids).size).toBe(9)
})

test('an invalid time still gives an id: the store refuses the event', () => {
  expect(validate(eventIdOf('command', 0, 'yesterday'))).toBe(true)
  expect(validate(eventIdOf('command', 0, '0001-01-01T00:00:00.000Z'))).toBe(true)
})

test('new ids are UUIDs of version 7 that differ and are in order, across draws of random bytes', () => {
  const ids = Array.from({ length: 2_000 }, newId)
  expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true)
  expect(ids).toEqual([...new Set(ids)].toSorted())
  const randomParts = new Set(ids.map((id) => id.slice(-12)))
  expect(randomParts.size).toBe(ids.length)
  expect(Math.abs(Date.now() - Number.parseInt(ids[0]?.replace('-', '').slice(0, 12) ?? '', 16))).toBeLessThan(60_000)
})
