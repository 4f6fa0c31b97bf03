import { expect, test } from '@jest/globals'
import { currentBootId, parseStat, processesOf } from './table.ts'

const stat = (name: string, state = 'S') =>
  `4415 (${name}) ${state} 4409 4410 2676 0 -1 4194304 103 0 0 0 0 0 0 0 20 0 1 0 154860 3133440 415 18446744073709551615 1`

test.each(['cat', 'a b', 'a) S 1 2 3', '((', ''])('the program name %j does not hide the fields', (name) =>
  expect(parseStat(stat(name))).toEqual({ pid: 4415, parent: 4409, session: 2676, startTime: 154860, over: false }),
)

test.each([
  ['Z', true],
  ['X', true],
  ['R', false],
  ['D', false],
])('state %s: over is %s', (state, over) => expect(parseStat(stat('cat', state))?.over).toBe(over))

test.each(['', '12', '12 (sh', '12 (sh) S 1'])('%j is no process', (text) => expect(parseStat(text)).toBeUndefined())

const entry = (
  pid: number,
  parent: number,
  session: number,
  more: { startTime?: number; over?: boolean; at?: string } = {},
) => ({
  ...{ pid, parent, session, startTime: more.startTime ?? 100, over: more.over ?? false },
  folder: () => more.at,
})
const first = { pid: 10, startTime: 100, bootId: currentBootId() }
const known = [
  entry(10, 1, 10),
  entry(11, 10, 10),
  entry(12, 11, 12), // left the session, not its parent
  entry(13, 1, 13, { at: '/job' }), // left both
  entry(14, 13, 13),
]

test('the session, descendants, and who carries the folder, belong to the attempt', () =>
  expect(processesOf([...known].reverse(), '/job', first).sort()).toEqual([10, 11, 12, 13, 14]))

test('strangers, the dead, and those older than the attempt do not', () => {
  const others = [
    entry(1, 0, 1, { startTime: 0 }),
    entry(20, 1, 20, { at: '/other' }),
    entry(21, 10, 10, { over: true }),
    entry(22, 1, 22, { startTime: 99, at: '/job' }),
  ]
  expect(processesOf([...known, ...others], '/job', first).sort()).toEqual([10, 11, 12, 13, 14])
})

test('without its living first process only who carries the folder, and descendants, belong', () => {
  expect(processesOf(known, '/job', { ...first, startTime: 99 })).toEqual([13, 14])
  expect(processesOf(known.slice(1), '/job', first)).toEqual([13, 14])
  expect(processesOf(known, '/job', { ...first, bootId: 'another' })).toEqual([13, 14])
  expect(processesOf(known, '/job', undefined)).toEqual([13, 14])
})
