import { rm } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { makeRoot } from '../process.testing.ts'
import { claimUid, releaseUid } from './uids.ts'

test('the id after that of an attempt is no other one’s: the process that kills all of that user has it', async () => {
  const root = await makeRoot()
  const range = { first: 70_000, count: 7 }
  const claim = (...inUse: number[]) => claimUid(root, range, new Set(inUse))
  await expect(claim(70_000, 70_003, 70_005)).rejects.toThrow('no user id is free')
  const claimed = [await claim(70_003), await claim(), await claim()]
  expect(claimed[0]).toBe(70_000)
  expect(claimed.sort()).toEqual([70_000, 70_002, 70_004])
  await expect(claim()).rejects.toThrow('no user id is free')
  await releaseUid(root, 70_002)
  expect(await claim()).toBe(70_002)
  await rm(root, { recursive: true })
})
