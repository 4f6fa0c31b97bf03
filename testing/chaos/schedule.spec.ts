import { expect, test } from '@jest/globals'
import { connectionsAmong } from './postgres-processes.ts'
import { type Kill, killSchedule, kindsOf, targets } from './schedule.ts'

const onPostgres = kindsOf([], 0)
const onCluster = kindsOf([], 3)
const pace = { seed: 7, killEveryMs: 1_500, serverEveryMs: 25_000, kinds: onPostgres }
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

test.each([onPostgres, onCluster])(
  'the kills come in order, of every kind, at the pace that was asked for',
  (kinds) => {
    const kills = minutes(60, { ...pace, kinds })
    expect(kills).toEqual(kills.toSorted((a, b) => a.atMs - b.atMs))
    expect(new Set(kills.map(({ kind }) => kind))).toEqual(new Set([...kinds.small, ...kinds.large]))
    const server = kills.filter(({ kind }) => kinds.large.includes(kind))
    expect(server.length).toBeGreaterThan(144 * 0.8)
    expect(server.length).toBeLessThan(144 * 1.2)
    expect(kills.length - server.length).toBeGreaterThan(2_400 * 0.8)
    expect(kills.length - server.length).toBeLessThan(2_400 * 1.2)
    const pauses = server.slice(1).map(({ atMs }, index) => atMs - (server[index]?.atMs ?? 0))
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(12_500)
  },
)

test('a schedule of one target has its kills alone', () => {
  const leaders = minutes(60, { ...pace, kinds: kindsOf(['leader'], 3) })
  expect(new Set(leaders.map(({ kind }) => kind))).toEqual(new Set(['leader']))
  const cuts = minutes(60, { ...pace, kinds: kindsOf(['connections'], 1) })
  expect(new Set(cuts.map(({ kind }) => kind))).toEqual(new Set(['connection', 'store connection']))
})

test('without a choice all is killed that is there', () => {
  expect(onPostgres.large).toEqual(['backend', 'postmaster'])
  expect(onPostgres.small).not.toContain('store connection')
  const both = ['node and process', 'node and postmaster']
  expect(kindsOf([], 1).large).toEqual(['backend', 'postmaster', 'node', ...both])
  expect(onCluster.large).toEqual(['backend', 'postmaster', 'leader', 'follower', 'node', ...both])
  expect(onCluster).toEqual(kindsOf(targets, 3))
  expect(kindsOf(['leader'], 1).large).toEqual(['leader'])
})

test('a target that is not there is refused', () => {
  for (const target of ['leader', 'follower', 'node', 'both'] as const)
    expect(() => kindsOf(['processes', target], 0)).toThrow(`--kill ${target} needs --eventstore FILE`)
  expect(() => kindsOf(['follower'], 1)).toThrow('--kill follower needs a cluster')
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
