import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { privateKeyToAccount } from 'viem/accounts'
import { createClient } from '../../cli/client.ts'
import { type ChainInfo, chainMoney, deposit, fund } from '../../cli/wallet.ts'
import { devKeys } from '../../infra/chain/dev-keys.ts'
import { runNode } from '../children.ts'
import { createTestFolder, startTestPlatform, stopTestPlatforms, type TestPlatform } from '../worlds/platform.ts'
import { availableUnits } from '../worlds/renter.ts'

let folder: Awaited<ReturnType<typeof createTestFolder>>
let platform: TestPlatform
beforeAll(async () => {
  folder = await createTestFolder()
  platform = await startTestPlatform(folder.path)
})
afterAll(async () => {
  await stopTestPlatforms()
  await folder.remove()
})

const runSeed = async (...options: string[]) => {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../cli/seed.ts'), ...options], {
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  let [output, errors] = ['', '']
  child.stdout.on('data', (text: Buffer) => {
    output += String(text)
  })
  child.stderr.on('data', (text: Buffer) => {
    errors += String(text)
  })
  const [code] = await once(child, 'close')
  return { code, output, errors }
}

describe('npm run seed', () => {
  test('leaves offers and a renter who can rent one of them; running it again adds nothing', async () => {
    const first = await runSeed('--url', platform.url, '--json')
    expect(first).toMatchObject({ code: 0, errors: '' })
    const { result } = JSON.parse(first.output)
    expect(result).toMatchObject({ listed: 6, unchanged: 0, available: '100', deposited: true })

    const again = JSON.parse((await runSeed('--url', platform.url, '--json')).output).result
    expect(again).toEqual({ ...result, listed: 0, unchanged: 6, deposited: false, headers: again.headers })

    const client = createClient(platform.url)
    client.use(result.headers.Authorization.replace('Bearer ', ''))
    expect(await availableUnits(client)).toBe(100_000_000n)
    const { rental } = await client.mutate<{ rental: { status: string } }>(
      'rentGpu',
      { listing: again.listing.id, hours: 1, maxPricePerGpuHour: '3', idempotencyKey: crypto.randomUUID() },
      'rental { status }',
    )
    expect(rental.status).toBe('active')
    await client.close()
  })

  test('lists again what the provider withdrew meanwhile, and names a price that rents it', async () => {
    const [header, offer = ''] = (await readFile('cli/tour/offers.csv', 'utf8')).split('\n')
    const file = join(folder.path, 'own.csv')
    await writeFile(file, `${header}\n${offer.replace(/"[^"]*"$/, 'eu-north-9')}\n`)
    const whole = await runNode(['cli/import.ts', file, '--whole', '--url', platform.url, '--json'])
    expect(JSON.parse(whole.output.trim().split('\n').at(-1) ?? '').result).toMatchObject({ listed: 1, withdrawn: 6 })
    const { output } = await runSeed('--url', platform.url, '--json')
    const { result } = JSON.parse(output)
    expect(result).toMatchObject({ listed: 5 })
    expect(result.listing.pricePerGpuHour).toMatchObject({ decimal: expect.stringMatching(/^\d+(\.\d+)?$/) })
  })

  test('prints what to try next', async () => {
    const { code, output } = await runSeed('--url', platform.url)
    expect(code).toBe(0)
    for (const text of ['6 known before', `${platform.url}/graphql`, '"Authorization":"Bearer ', 'rentGpu(input: {'])
      expect(output).toContain(text)
  })

  test('prints how to start a platform when none answers', async () => {
    // Nothing listens on the discard port.
    const { code, errors } = await runSeed('--url', 'http://127.0.0.1:9')
    expect(code).toBe(1)
    expect(errors).toContain('npm start')
  })

  test('does not deposit twice when it was interrupted after its deposit', async () => {
    const second = await startTestPlatform(join(folder.path, 'interrupted'))
    const { chain } = await createClient(second.url).query<{ chain: ChainInfo }>(
      '{ chain { chainId rpcUrl token marketplace } }',
    )
    const renter = privateKeyToAccount(devKeys[3])
    await fund(chain, renter, 130_000_000n)
    await deposit(chain, renter, 100_000_000n)
    const runs = [await runSeed('--url', second.url, '--json'), await runSeed('--url', second.url, '--json')]
    for (const { output } of runs)
      expect(JSON.parse(output).result).toMatchObject({ available: '100', deposited: false })
    expect(await chainMoney(chain, renter.address)).toEqual({ inWallet: 30_000_000n, deposited: 100_000_000n })
    await second.stop()
  })

  test('gives no money away on another chain', async () => {
    const server = createServer((_, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ data: { chain: { chainId: 1 } } }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { code, errors } = await runSeed('--url', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    server.close()
    expect(code).toBe(1)
    expect(errors).toContain('CHAIN_WITHOUT_FAUCET')
    expect(errors).toContain('chain: 1')
  })
})
