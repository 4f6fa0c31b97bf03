import { expect, test } from '@jest/globals'
import { connectionsAmong } from './postgres-processes.ts'
import { type Kill, killKinds, killSchedule } from './schedule.ts'

const pace = { seed: 7, killEveryMs: 1_500, postgresEveryMs: 25_000 }
const minutes = (count: number, given = pace): Kill[] => {
  const kills: Kill[] = []
  for (const kill of killSchedule(given)) {
    if (kill.atMs > count * 60_000) return kills
    kills.push(kill)
  }
  return kills
}

test('the same seed gives the same kills, another one others', () => {
  expect(minutes(10)).toEqual(minutes(10))
  expect(minutes(10, { ...pace, seed: 8 })).not.toEqual(minutes(10))
})

test('the kills come in order, of every kind, at the pace that was asked for', () => {
  const kills = minutes(60)
  expect(kills).toEqual(kills.toSorted((a, b) => a.atMs - b.atMs))
  expect(new Set(kills.map(({ kind }) => kind))).toEqual(new Set(killKinds))
  const server = kills.filter(({ kind }) => kind === 'backend' || kind === 'postmaster')
  expect(server.length).toBeGreaterThan(144 * 0.8)
  expect(server.length).toBeLessThan(144 * 1.2)
  expect(kills.length - server.length).toBeGreaterThan(2_400 * 0.8)
  expect(kills.length - server.length).toBeLessThan(2_400 * 1.2)
  const pauses = server.slice(1).map(({ atMs }, index) => atMs - (server[index]?.atMs ?? 0))
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(12_500)
})

test('of the connections the busy ones are chosen, and no helper of the server', () => {
  const idle = { pid: 1, title: 'postgres: neuralmesh neuralmesh 127.0.0.1(5000) idle' }
  const busy = { pid: 2, title: 'postgres: neuralmesh neuralmesh 127.0.0.1(5001) SELECT' }
  const within = { pid: 3, title: 'postgres: neuralmesh neuralmesh 127.0.0.1(5002) idle in transaction' }
  const helper = { pid: 4, title: 'postgres: checkpointer' }
  expect(connectionsAmong([idle, busy, within, helper])).toEqual([busy, within])
  expect(connectionsAmong([idle, helper])).toEqual([idle])
  expect(connectionsAmong([helper])).toEqual([])
})
