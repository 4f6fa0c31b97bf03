import { expect, test } from '@jest/globals'
import { currentBootId } from '../../system/processes.ts'
import { processesOf } from './table.ts'

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

test('the session, descendants, and processes with the folder in their environment belong to the attempt', () =>
  expect(processesOf([...known].reverse(), '/job', first).sort()).toEqual([10, 11, 12, 13, 14]))

test('other processes, zombies, and processes older than the attempt do not', () => {
  const others = [
    entry(1, 0, 1, { startTime: 0 }),
    entry(20, 1, 20, { at: '/other' }),
    entry(21, 10, 10, { over: true }),
    entry(22, 1, 22, { startTime: 99, at: '/job' }),
  ]
  expect(processesOf([...known, ...others], '/job', first).sort()).toEqual([10, 11, 12, 13, 14])
})

test('without its living first process, only processes with the folder in their environment, and their descendants, do', () => {
  expect(processesOf(known, '/job', { ...first, startTime: 99 })).toEqual([13, 14])
  expect(processesOf(known.slice(1), '/job', first)).toEqual([13, 14])
  expect(processesOf(known, '/job', { ...first, bootId: 'another' })).toEqual([13, 14])
  expect(processesOf(known, '/job', undefined)).toEqual([13, 14])
})
