import { setImmediate } from 'node:timers/promises'
import { expect, test } from '@jest/globals'
import { currentBootId } from '../../system/processes.ts'
import { type AttemptIdentity, createTableReader, membersOf, type ProcessTable } from './table.ts'

const entry = (
  pid: number,
  parent: number,
  session: number,
  more: { startTime?: number; over?: boolean; at?: string; uid?: number } = {},
) => ({
  ...{ pid, parent, session, startTime: more.startTime ?? 100, over: more.over ?? false, image: '1' },
  folder: async () => more.at,
  uid: () => more.uid ?? 0,
})
const first = { pid: 10, startTime: 100, bootId: currentBootId() }
const known = [
  entry(10, 1, 10),
  entry(11, 10, 10),
  entry(12, 11, 12), // left the session, not its parent
  entry(13, 1, 13, { at: '/job' }), // left both
  entry(14, 13, 13),
]

const attempt = (more: Partial<AttemptIdentity> = {}): AttemptIdentity => ({
  ...{ folder: '/job', kind: 'none', uid: undefined, first },
  ...more,
})

const processesOf = async (table: ProcessTable, identity: AttemptIdentity) => {
  const { wrapper, job } = await membersOf(table, identity)
  return [...wrapper, ...job]
}

test('without walls: the session of the wrapper, descendants, and processes that name the folder', async () =>
  expect(await membersOf([...known].reverse(), attempt())).toEqual({ wrapper: [11, 10], job: [13, 14, 12] }))

test('other processes, zombies, and processes older than the attempt do not belong to it', async () => {
  const others = [
    entry(1, 0, 1, { startTime: 0 }),
    entry(20, 1, 20, { at: '/other' }),
    entry(21, 10, 10, { over: true }),
    entry(22, 1, 22, { startTime: 99, at: '/job' }),
  ]
  expect((await processesOf([...known, ...others], attempt())).sort()).toEqual([10, 11, 12, 13, 14])
})

test('behind walls no process joins an attempt by naming its folder', async () => {
  for (const kind of ['root-namespaces', 'uid', 'user-namespaces', 'bubblewrap'] as const)
    expect((await processesOf(known, attempt({ kind }))).sort()).toEqual([10, 11, 12])
})

test('a user of its own finds processes that have left everything else', async () => {
  const left = entry(30, 1, 30, { uid: 70_001 })
  expect((await processesOf([...known, left], attempt({ kind: 'uid', uid: 70_001 }))).sort()).toEqual([10, 11, 12, 30])
  expect(await processesOf([left], attempt({ kind: 'uid', uid: 70_001, first: undefined }))).toEqual([30])
})

test('without its living first process, only processes with the folder in their environment, and their descendants, do', async () => {
  for (const gone of [{ ...first, startTime: 99 }, { ...first, bootId: 'another' }, undefined])
    expect(await processesOf(known, attempt({ first: gone }))).toEqual([13, 14])
  expect(await processesOf(known.slice(1), attempt())).toEqual([13, 14])
})

test("what is left of the wrapper's session without its leader belongs to the attempt where it carries the folder", async () => {
  const left = [entry(15, 1, 10, { at: '/job' }), entry(16, 15, 10, { at: '/job' }), entry(17, 1, 10, { at: '/other' })]
  for (const kind of ['none', 'root-namespaces', 'uid', 'user-namespaces', 'bubblewrap'] as const)
    expect((await membersOf(left, attempt({ kind }))).wrapper).toEqual([15, 16])
})

test('all that ask during a read share the next one, which begins after they asked', async () => {
  const reads: ((end: 'works' | 'fails') => void)[] = []
  const reader = createTableReader(async () => {
    const { promise, resolve, reject } = Promise.withResolvers<ProcessTable>()
    reads.push((end) => (end === 'works' ? resolve([]) : reject(new Error(end))))
    return promise
  })
  const first = reader(0)
  await setImmediate()
  const others = [reader(0), reader(0), reader(0)]
  const recent = reader(60_000)
  await setImmediate()
  expect(reads).toHaveLength(1)
  reads[0]?.('fails')
  await expect(first).rejects.toThrow('fails')
  await expect(recent).rejects.toThrow('fails')
  await setImmediate()
  expect(reads).toHaveLength(2)
  reads[1]?.('works')
  await Promise.all(others)
  expect(await reader(60_000)).toBe(await others[0])
  expect(reads).toHaveLength(2)
})
