import { expect, test } from '@jest/globals'
import { segmentBytes } from './held.ts'
import { type Pages, proportionalPages, residentPages } from './pages.ts'

test('the loop goes round while the memory of many processes is read', async () => {
  const many = Array.from({ length: 4_000 }, () => process.pid)
  let rounds = 0
  const counting = setInterval(() => {
    rounds += 1
  }, 1)
  const [resident, proportional] = [await residentPages(many), await proportionalPages(many.slice(0, 100))]
  clearInterval(counting)
  expect(rounds).toBeGreaterThan(5)
  expect(resident.all / many.length).toBeGreaterThan(10)
  expect((proportional as Pages).all / 100).toBeGreaterThan(10)
}, 30_000)

test('segments of System V count for their user, and for who made them', () => {
  const text = `       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap
  11757788     360448   600                    56 14092 14097      0    77     0     0     0 1795893206 1795893206 1795893206                  4096                  8192
         0          1   600              99999999     1     1      0     0     0    77     0          0          0          0                 12288                     0
         0          2   600              99999999     1     1      0    78    77    78    77          0          0          0               1000000                     0
`
  expect(segmentBytes(text, 77)).toBe(4096 + 8192 + 12288)
  expect(segmentBytes(text, 79)).toBe(0)
  expect(segmentBytes('', 0)).toBe(0)
})
