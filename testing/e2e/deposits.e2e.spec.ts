// Deposits as an operator sees them: custody at /status, blocks that are read again, and another chain under an old
// database.
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { runNode } from '../children.ts'
import { eventually } from '../eventually.ts'
import { processesNaming } from '../processes.ts'
import { createTestFolder, startTestPlatform, stopTestPlatforms } from '../worlds/platform.ts'
import { createRenter } from '../worlds/renter.ts'

let folder: Awaited<ReturnType<typeof createTestFolder>>
beforeAll(async () => {
  folder = await createTestFolder()
})
afterAll(async () => {
  await stopTestPlatforms()
  await folder.remove()
})

test('custody is compared, a rescan credits nothing twice, and another chain is refused', async () => {
  const dataDir = join(folder.path, 'data')
  const platform = await startTestPlatform(dataDir)
  const { client } = await createRenter(platform.url, 5_000_000n)
  type Balances = { account: { balances: { available: { amount: string } }[] } }
  const available = async () =>
    (await client.query<Balances>('{ account { balances { available { amount } } } }')).account.balances[0]?.available
      .amount
  const before = await available()

  const custody = async () => {
    const page = await (await fetch(`${platform.url}/status`)).json()
    return (page as { custody: Record<string, string> | null }).custody
  }
  await eventually('custody was compared', async () => (await custody()) !== null)
  expect(await custody()).toMatchObject({ missing: '0', block: expect.stringMatching(/^\d+$/) })

  const rescan = await runNode(['cli/rescan.ts', '--json'], { DATA_DIR: dataDir })
  expect(rescan).toMatchObject({ code: 0, errors: '' })
  expect(JSON.parse(rescan.output.trim().split('\n').at(-1) ?? '')).toMatchObject({
    result: { done: true, recovered: '0' },
  })
  expect(await available()).toBe(before)
  await client.close()

  await platform.stop()
  await rename(join(dataDir, 'chain'), join(dataDir, 'former chain'))
  const refused = await runNode(['main.ts'], { DATA_DIR: dataDir, PORT: '0', CHAIN_PORT: '0' })
  expect(refused.code).toBe(1)
  expect(refused.errors).toContain('CHAIN_REPLACED')
  expect(refused.errors).toContain('begin with a new database')
  expect(await processesNaming(dataDir)).toEqual([])
})
