import { rm } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { makeRoot } from '../process.testing.ts'
import { claimUid, releaseUid } from './uids.ts'

test('the id after that of an attempt is no other one’s: the process that kills all of that user has it', async () => {
  const root = await makeRoot()
  const range = { first: 70_000, count: 7 }
  const claim = () => claimUid(root, range, new Set())
  const claimed = [await claim(), await claim(), await claim()]
  expect(claimed.sort()).toEqual([70_000, 70_002, 70_004])
  await expect(claim()).rejects.toThrow('no user id is free')
  await releaseUid(root, 70_002)
  expect(await claim()).toBe(70_002)
  await rm(root, { recursive: true })
})
