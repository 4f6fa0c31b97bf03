import { describe, expect, test } from '@jest/globals'
import { wallsStand } from './steady.ts'

const machine = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
24 22 0:21 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw`
const building = `${machine}
94 22 0:49 / /tmp/nm/job/1/jail rw,nosuid,relatime - tmpfs jail rw,size=4096k,mode=755
95 94 254:0 /usr /tmp/nm/job/1/jail/jail/usr ro,nosuid,relatime - ext4 /dev/vda rw`
const built = `94 22 0:49 / / ro,nosuid,relatime - tmpfs jail rw,size=4096k,mode=755
95 94 254:0 /usr /jail/usr ro,nosuid,relatime - ext4 /dev/vda rw`

describe('the walls of an attempt', () => {
  test.each([
    ['in the file tree of the machine', machine, false],
    ['while they are built', building, false],
    ['once they are its root', built, true],
    ['where its first process has ended', '', true],
  ])('%s', (_name, mounts, stand) => expect(wallsStand(mounts)).toBe(stand))
})
