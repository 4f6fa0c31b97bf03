import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { decideIsolation, describeIsolation, type Machine } from './isolation.ts'
import { parseIdMap, parseOwners, pickUidRange } from './uids.ts'

const works = { works: true } as const
const no = (reason: string) => ({ works: false, reason }) as const
const uids = { first: 1_900_000_000, count: 1_000_000 }
const machine = (change: Partial<Machine>): Machine => ({
  ...{ root: true, namespaces: works, bubblewrap: no('is missing'), otherUser: works, uids },
  ...change,
})
const closed = no('Operation not permitted')

describe('the isolation in force', () => {
  test.each<[string, Partial<Machine>, string]>([
    ['root', {}, 'root-namespaces'],
    ['root that may not unshare', { namespaces: closed }, 'uid'],
    ['root without free user ids', { uids: undefined }, 'refused'],
    ['root that may nothing', { namespaces: closed, otherUser: closed }, 'refused'],
    ['an ordinary user', { root: false, uids: undefined, otherUser: no('only root may') }, 'user-namespaces'],
    ['an ordinary user with bubblewrap', { root: false, bubblewrap: works }, 'bubblewrap'],
    [
      'an ordinary user whom only bubblewrap helps',
      { root: false, namespaces: closed, bubblewrap: works },
      'bubblewrap',
    ],
    ['an ordinary user who may nothing', { root: false, namespaces: closed }, 'refused'],
  ])('%s: %j: %s', (_, change, kind) => {
    expect(decideIsolation(machine(change), 'strangers').kind).toBe(kind)
    expect(decideIsolation(machine(change), 'own').kind).toBe(kind === 'refused' ? 'none' : kind)
  })

  test('a refusal names each reason and the setting', () => {
    const isolation = decideIsolation(machine({ root: false, namespaces: closed }), 'strangers')
    expect(isolation).toEqual({
      kind: 'refused',
      reasons: ['bwrap: is missing', 'unshare: Operation not permitted'],
    })
    expect(describeIsolation(isolation)).toContain('JOB_TRUST=own')
  })
})

describe('user ids for jobs', () => {
  const wholeMap = '         0          0 4294967295\n'
  const containerMap = '         0     100000      65536\n'

  test.each([
    ['on a machine', wholeMap, '', '', 1_900_000_000],
    ['where someone owns the first range', wholeMap, '', 'ada:1900000000:65536\n', 70_000],
    ['in a container', containerMap, 'root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/:/bin/sh\n', '', 40_000],
    ['in a container with such a user', containerMap, 'ada:x:41000:41000::/:/bin/sh\n', '', undefined],
    ['in a user namespace of one id', '0 1000 1\n', '', '', undefined],
    ['without a map', '', '', '', undefined],
  ])('%s', (_, map, passwd, subuid, first) =>
    expect(pickUidRange([parseIdMap(map), parseIdMap(map)], parseOwners(passwd, subuid))?.first).toBe(first),
  )

  test('the range lies in every map, and meets no owner', () => {
    const range = fc.record({
      first: fc.nat({ max: 2_000_000_000 }),
      count: fc.integer({ min: 1, max: 2_000_000_000 }),
    })
    fc.assert(
      fc.property(fc.array(range, { maxLength: 3 }), fc.array(range, { maxLength: 3 }), (map, owners) => {
        const found = pickUidRange([map], owners)
        if (!found) return
        const last = found.first + found.count - 1
        expect(map.some(({ first, count }) => first <= found.first && last < first + count)).toBe(true)
        for (const owner of owners) expect(owner.first > last || owner.first + owner.count <= found.first).toBe(true)
        // Neither root nor 65534, as which PostgreSQL may run.
        expect(found.first > 1000 && !(found.first <= 65_534 && last >= 65_534)).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })
})
