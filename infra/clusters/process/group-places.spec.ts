import { describe, expect, test } from '@jest/globals'
import { groupMemoryBytes } from './attempt-groups.ts'
import { findGroupPlaces, keptBytes } from './group-places.ts'

const mount2 = (options = 'rw', root = '/', at = '/sys/fs/cgroup') =>
  `30 23 0:26 ${root} ${at} ${options},nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate`
const mount1 = (name: string, options = 'rw', root = '/') =>
  `35 31 0:32 ${root} /sys/fs/cgroup/${name} ${options},relatime - cgroup cgroup rw,${name}`
const other = '22 1 254:0 / / rw,relatime - ext4 /dev/vda rw'
const lines = (...all: readonly string[]) => `${all.join('\n')}\n`
const unit = '/system.slice/neuralmesh.service'

const cases: readonly [string, string, string, Readonly<Record<string, string | RegExp>>][] = [
  [
    'version 2, a unit of systemd',
    lines(`0::${unit}`),
    lines(other, mount2()),
    { unified: `/sys/fs/cgroup${unit}`, memory: /Linux has none/, pids: /Linux has none/ },
  ],
  [
    'version 2, a group of its own within that unit',
    lines(`0::${unit}/platform`),
    lines(other, mount2()),
    { unified: `/sys/fs/cgroup${unit}/platform` },
  ],
  [
    'version 1',
    lines('9:memory:/user/one', '8:pids:/user/one', '3:cpu,cpuacct:/', '2:freezer:/', '1:name=systemd:/'),
    lines(other, mount1('memory'), mount1('pids'), mount1('freezer')),
    {
      unified: /Linux has none/,
      memory: '/sys/fs/cgroup/memory/user/one',
      pids: '/sys/fs/cgroup/pids/user/one',
      freezer: '/sys/fs/cgroup/freezer',
    },
  ],
  [
    'both, with the controllers in version 1',
    lines('4:memory:/a', '8:pids:/', '0::/'),
    lines(other, mount1('memory'), mount1('pids'), mount2('rw', '/', '/sys/fs/cgroup/unified')),
    {
      unified: '/sys/fs/cgroup/unified',
      memory: '/sys/fs/cgroup/memory/a',
      pids: '/sys/fs/cgroup/pids',
      freezer: /Linux has none/,
    },
  ],
  ['a container, read-only', lines('0::/'), lines(other, mount2('ro')), { unified: /\/sys\/fs\/cgroup is read-only/ }],
  [
    'a container that has a second mount, which may be written',
    lines('0::/'),
    lines(other, mount2('ro'), mount2('rw', '/', '/run/groups')),
    { unified: '/run/groups' },
  ],
  ['a container with its own namespace', lines('0::/'), lines(other, mount2()), { unified: '/sys/fs/cgroup' }],
  [
    'a container with the groups of the machine, of which it sees its own',
    lines('5:memory:/docker/abc/inner'),
    lines(other, mount1('memory', 'rw', '/docker/abc')),
    { memory: '/sys/fs/cgroup/memory/inner' },
  ],
  [
    'a container that sees another part',
    lines('5:memory:/docker/abcd', '0::/docker/abcd'),
    lines(other, mount1('memory', 'rw', '/docker/abc'), mount2('rw', '/docker/abc')),
    { memory: /not below/, unified: /not below/ },
  ],
  ['a group above its namespace', lines('0::/../other'), lines(other, mount2()), { unified: /not below/ }],
  [
    'a mount at a path with a space',
    lines('0::/a'),
    lines(other, mount2('rw', '/', '/my\\040groups')),
    { unified: '/my groups/a' },
  ],
  ['nothing mounted', lines('0::/', '4:memory:/'), lines(other), { unified: /not mounted/, memory: /not mounted/ }],
  ['nothing at all', '', '', { unified: /none/, memory: /none/, pids: /none/, freezer: /none/ }],
]

describe('the groups of this process', () => {
  test.each(cases)('%s', (_name, cgroup, mountinfo, expected) => {
    const places = findGroupPlaces(cgroup, mountinfo)
    for (const [hierarchy, where] of Object.entries(expected)) {
      const place = places[hierarchy as keyof typeof places]
      expect('path' in place ? place.path : place.reason).toEqual(
        typeof where === 'string' ? where : expect.stringMatching(where),
      )
    }
  })
})

test('what a group keeps is counted without what Linux can take back, in both versions', () => {
  const version2 = 'anon 100\nfile 5000\nkernel 900\nshmem 20\npagetables 3\nsock 4\nslab_reclaimable 800\nanon_thp 7\n'
  const version1 = 'cache 5020\nrss 100\nrss_huge 50\nshmem 20\nmapped_file 9\ntotal_rss 100\ntotal_shmem 20\n'
  expect(keptBytes(version2)).toBe(127)
  expect(keptBytes(version1)).toBe(120)
  expect(keptBytes('')).toBe(0)
})

test('the limit of a group is above that of its job, and none where the job may have the machine', () => {
  const mib = 1024 ** 2
  expect(groupMemoryBytes(256, 4096 * mib)).toBe(320 * mib)
  expect(groupMemoryBytes(1, 4096 * mib)).toBe(34 * mib)
  expect(groupMemoryBytes(4096, 4096 * mib)).toBeUndefined()
  expect(groupMemoryBytes(4000, 4096 * mib)).toBeUndefined()
})
