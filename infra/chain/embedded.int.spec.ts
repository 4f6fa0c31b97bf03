import { once } from 'node:events'
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { isRunning, runChild } from '../../testing/children.ts'
import { eventually } from '../../testing/eventually.ts'
import { type ChainProcess, startChainProcess } from '../../testing/programs/chain.ts'
import { chainWallet } from '../../testing/worlds/chain-wallet.ts'
import { sleep } from '../async/sleep.ts'
import { chainContract } from './contract.ts'
import { devKeys } from './dev-keys.ts'
import type { ChainDescription } from './port.ts'
import { rpcChain } from './rpc.ts'

const confirmations = 2
const renter = devKeys[1]
const newFolder = () => mkdtemp(join(tmpdir(), 'chain-'))
const connect = (description: ChainDescription) => rpcChain({ ...description, confirmations })

chainContract('Hardhat in a process of its own', async () => {
  const folder = await newFolder()
  const running = await startChainProcess({ folder, blockIntervalMs: 400 })
  const chain = connect(running.description)
  return {
    chain,
    wallet: chainWallet(running.description, renter),
    confirmations,
    close: async () => {
      await chain.close()
      await running.stop()
      await rm(folder, { recursive: true })
    },
  }
})

describe('the embedded chain', () => {
  let folder: string
  let journal: string
  let running: ChainProcess | undefined
  const start = async (options: Omit<Parameters<typeof startChainProcess>[0], 'folder'> = {}) => {
    running = await startChainProcess({ folder, blockIntervalMs: 20, ...options })
    const { description, ownerSecret } = running
    return {
      ...running,
      chain: connect(description),
      wallet: chainWallet(description, renter, ownerSecret),
    }
  }
  type Started = Awaited<ReturnType<typeof start>>

  const settled = ({ chain }: Started) =>
    eventually('the empty blocks have come', async () => {
      const { head, final } = await chain.heights()
      const [last] = (await chain.deposits(0n, head)).slice(-1)
      return last && final >= last.blockNumber && head
    })
  /** Resolves to everything that must be the same after a restart. */
  const durableState = async ({ chain, wallet }: Started, head: bigint) => ({
    blocks: await Promise.all(
      Array.from({ length: Number(head) + 1 }, (_, number) => wallet.blockHash(BigInt(number))),
    ),
    deposits: await chain.deposits(0n, head),
    nonce: await wallet.nonce(),
    tokens: await wallet.tokenBalance(),
    ether: await wallet.rpc('eth_getBalance', [wallet.address, 'latest']),
  })
  const payIn = async ({ wallet }: Started, amount: bigint) => {
    await wallet.prepare(amount + 1n)
    return wallet.deposit(amount)
  }

  beforeEach(async () => {
    folder = await newFolder()
    journal = join(folder, 'journal.jsonl')
  })
  afterEach(async () => {
    await running?.kill()
    running = undefined
    await rm(folder, { recursive: true, force: true })
  })

  test('runs in a process of its own, which ends when it is closed, also with a connection open', async () => {
    const started = await start()
    await started.chain.heights()
    const pid = started.embedded.pid() ?? 0
    expect(isRunning(pid)).toBe(true)
    await started.stop()
    expect(isRunning(pid)).toBe(false)
  })

  test('is started again on its port when its process dies, with all that it had', async () => {
    const first = await start()
    const { blockHash, blockNumber } = await payIn(first, 5n)
    const pid = first.embedded.pid() ?? 0
    process.kill(pid, 'SIGKILL')
    await eventually('another process serves', async () => {
      const now = first.embedded.pid()
      return now !== undefined && now !== pid && (await first.wallet.nonce().catch(() => 0)) > 0
    })
    expect(await first.wallet.blockHash(blockNumber)).toBe(blockHash)
    await payIn(first, 7n)
  })

  test('leaves no process behind when the platform is killed', async () => {
    const module = JSON.stringify(new URL('./embedded.ts', import.meta.url).href)
    const platform = runChild(`
      const { startEmbeddedChain } = await import(${module})
      const chain = await startEmbeddedChain({ folder: ${JSON.stringify(folder)}, port: 0, ownerSecret: 'x' })
      console.log(chain.pid())
      setInterval(() => {}, 1000)`)
    const pid = Number(await platform.firstLine)
    expect(isRunning(pid)).toBe(true)
    await platform.kill()
    await eventually('the chain has ended', async () => !isRunning(pid))
    await start()
  })

  test('has the same blocks, balances, deposits and contracts after a restart, and continues from there', async () => {
    const first = await start()
    await payIn(first, 5n)
    await payIn(first, 7n)
    const head = await settled(first)
    const before = await durableState(first, head)
    await first.stop()

    const second = await start()
    expect({ ...second.description, rpcUrl: '' }).toEqual({ ...first.description, rpcUrl: '' })
    expect((await second.chain.heights()).head).toBe(head)
    expect(await durableState(second, head)).toEqual(before)
    await payIn(second, 9n)
    expect((await second.chain.deposits(0n, head + 10n)).map(({ amount }) => amount)).toEqual([5n, 7n, 9n])
  })

  test('mines as many blocks after a transaction as confirm it, and no more', async () => {
    const started = await start({ blockIntervalMs: 1 })
    const { chain, wallet } = started
    const other = `0x${'77'.repeat(20)}`
    for (let deposits = 0; deposits < 6; deposits++) {
      let isPaid = false
      // Writes that mine nothing, between those that do.
      const writes = Array.from({ length: 8 }, async () => {
        while (!isPaid) await wallet.rpc('hardhat_setBalance', [other, '0x1'])
      })
      const { blockNumber } = await payIn(started, 5n)
      await eventually('it is final', async () => (await chain.heights()).final >= blockNumber)
      isPaid = true
      await Promise.all(writes)
      await sleep(50)
      expect((await chain.heights()).head - blockNumber).toBe(BigInt(confirmations))
    }
  })

  test('does not depend on reads: they leave no trace in later blocks', async () => {
    const first = await start()
    const { rpc, address } = first.wallet
    const call = { from: address, to: address, value: '0x1' }
    await payIn(first, 5n)
    await rpc('eth_getBlockByNumber', ['pending', true])
    await rpc('eth_call', [call, 'pending'])
    await rpc('eth_estimateGas', [call])
    await expect(rpc('eth_sendRawTransaction', ['0x00'])).rejects.toThrow()
    await payIn(first, 7n)
    const head = await settled(first)
    const before = await durableState(first, head)
    await first.stop()
    expect(await durableState(await start(), head)).toEqual(before)
  })

  test('killed after it acknowledged a transaction, still has it, and brings it to its final height', async () => {
    const first = await start({ blockIntervalMs: 60_000 })
    const { blockHash, blockNumber, transactionHash } = await payIn(first, 5n)
    await first.kill()

    const second = await start()
    expect(await second.wallet.blockHash(blockNumber)).toBe(blockHash)
    await settled(second)
    expect(await second.chain.deposits(blockNumber, blockNumber)).toEqual([
      expect.objectContaining({ transactionHash, blockHash, amount: 5n }),
    ])
  })

  test('killed in the middle of many transactions, has each one that it acknowledged, and none twice', async () => {
    const first = await start()
    const acknowledged: unknown[] = []
    const send = async () => {
      for (;;) {
        const transaction = { from: first.wallet.address, to: first.wallet.address, value: '0x1' }
        acknowledged.push(await first.wallet.rpc('eth_sendTransaction', [transaction]))
      }
    }
    const senders = [send(), send(), send()].map((sending) => sending.catch(() => undefined))
    await eventually('some are acknowledged', () => acknowledged.length >= 30)
    await first.kill()
    await Promise.all(senders)

    const second = await start()
    const receipts = await Promise.all(
      acknowledged.map((hash) => second.wallet.rpc('eth_getTransactionReceipt', [hash])),
    )
    expect(receipts.filter((receipt) => receipt === null)).toEqual([])
    expect(new Set(acknowledged).size).toBe(acknowledged.length)
    const unacknowledgedMax = senders.length
    const nonce = await second.wallet.nonce()
    expect(nonce).toBeGreaterThanOrEqual(acknowledged.length)
    expect(nonce).toBeLessThanOrEqual(acknowledged.length + unacknowledgedMax)
  })

  test('drops a torn last line of its journal', async () => {
    const first = await start()
    await payIn(first, 5n)
    const head = await settled(first)
    const before = await durableState(first, head)
    await first.kill()
    await appendFile(journal, '{"at":1795377302,"head":"0x06c7')

    const second = await start()
    expect(await durableState(second, head)).toEqual(before)
    await payIn(second, 7n)
    const later = await settled(second)
    await second.kill()
    expect((await (await start()).chain.deposits(0n, later)).map(({ amount }) => amount)).toEqual([5n, 7n])
  })

  test('refuses a journal with a line missing, and names the line', async () => {
    await payIn(await start(), 5n)
    await running?.kill()
    const lines = (await readFile(journal, 'utf8')).split('\n')
    await writeFile(journal, lines.toSpliced(2, 1).join('\n'))
    await expect(start()).rejects.toMatchObject({ code: 'CHAIN_JOURNAL_BROKEN', details: { line: '3' } })
  })

  test('takes over an older journal: it gets an id that stays, and lines without effect are gone', async () => {
    const first = await start()
    await payIn(first, 5n)
    const head = await settled(first)
    const before = await durableState(first, head)
    await first.stop()
    const [header = '', ...entries] = (await readFile(journal, 'utf8')).trimEnd().split('\n')
    const { id, ...older } = JSON.parse(header)
    expect(id).toMatch(/^[0-9a-f-]{36}$/)
    const failing = { ...JSON.parse(entries[3] ?? ''), method: 'eth_sendRawTransaction', params: ['0x00'.repeat(99)] }
    const withFailure = entries.toSpliced(3, 0, JSON.stringify(failing))
    await writeFile(journal, `${[JSON.stringify(older), ...withFailure].join('\n')}\n`)

    const second = await start()
    expect(await durableState(second, head)).toEqual(before)
    const ids = [second.embedded.chain.id]
    await second.stop()
    expect((await readFile(journal, 'utf8')).trimEnd().split('\n').slice(1)).toEqual(entries)
    ids.push((await start()).embedded.chain.id)
    expect(ids).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), ids[0]])
  })

  test('refuses a journal of another chain id', async () => {
    await start()
    await running?.stop()
    await expect(start({ chainId: 4242 })).rejects.toMatchObject({ code: 'DATA_FOLDER_VERSION' })
  })

  test('finishes a deployment that died half way', async () => {
    const first = await start()
    const { marketplace } = first.description
    await first.kill()
    const [header, token] = (await readFile(journal, 'utf8')).split('\n')
    await writeFile(journal, `${header}\n${token}\n`)
    const second = await start()
    expect(second.description.marketplace).toBe(marketplace)
    await payIn(second, 5n)
  })

  test("keeps a deposit's id when a reorganisation moves it to another block", async () => {
    const { wallet, chain, stop } = await start({ allowReorganisations: true, blockIntervalMs: 60_000 })
    await wallet.prepare(5n)
    const snapshot = await wallet.rpc('evm_snapshot')
    const [moved] = await chain.deposits((await wallet.deposit(5n)).blockNumber, 1_000n)
    expect(await wallet.rpc('evm_revert', [snapshot])).toBe(true)
    await wallet.rpc('evm_mine')
    expect(await chain.deposits(0n, 1_000n)).toEqual([])
    const again = await wallet.deposit(5n)
    const deposits = await chain.deposits(0n, 1_000n)
    expect(deposits).toEqual([{ ...moved, ...again }])
    expect(again.blockNumber).not.toBe(moved?.blockNumber)
    expect(again.blockHash).not.toBe(moved?.blockHash)

    await stop()
    expect(await (await start()).chain.deposits(0n, 1_000n)).toEqual(deposits)
  })

  test('refuses methods that would take blocks back or would not survive a restart', async () => {
    const { wallet } = await start()
    for (const method of ['evm_snapshot', 'evm_revert', 'hardhat_reset', 'evm_setNextBlockTimestamp'])
      await expect(wallet.rpc(method, ['0x1'])).rejects.toMatchObject({
        code: -32601,
        message: expect.stringContaining(method),
      })
  })

  test('answers a call that reverts as wallets expect: code 3 and what the contract returned', async () => {
    const { wallet, description } = await start()
    const depositOfOne = `0xb6b55f25${'1'.padStart(64, '0')}`
    await expect(
      wallet.rpc('eth_call', [{ from: wallet.address, to: description.marketplace, data: depositOfOne }, 'latest']),
    ).rejects.toMatchObject({ code: 3, data: expect.stringMatching(/^0xfb8f41b2/) })
    await expect(wallet.deposit(1n)).rejects.toThrow(/0xfb8f41b2/)
  })

  test('listens on another port when its own is taken', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const address = holder.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const { chain, description } = await start({ port })
    expect(description.rpcUrl).not.toContain(`:${port}`)
    expect((await chain.heights()).head).toBeGreaterThanOrEqual(2n)
    holder.close()
  })
})
