import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { type Hex, pad, toHex } from 'viem'
import { generatePrivateKey } from 'viem/accounts'
import { createCommands } from '../commands/execute.ts'
import { idOf } from '../domain/aggregates.ts'
import { Failure } from '../domain/errors.ts'
import { embeddedConfirmations } from '../infra/chain/embedded.ts'
import type { Handle } from '../infra/chain/json-rpc.ts'
import { rpcError } from '../infra/chain/json-rpc.ts'
import { type JsonRpcServer, serveJsonRpc } from '../infra/chain/json-rpc-server.ts'
import type { Chain, CursorPlace } from '../infra/chain/port.ts'
import { rpcChain } from '../infra/chain/rpc.ts'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import { type ChainProcess, startChainProcess } from '../testing/programs/chain.ts'
import { type ChainWallet, chainWallet } from '../testing/worlds/chain-wallet.ts'
import { createCursor } from './watch-deposits.testing.ts'
import { createRecorder, refuseOtherChain, rescanOnce, watchOnce } from './watch-deposits.ts'

/** What a node may do to an answer. A load balancer sends each request to another one. */
const lies = [
  'honest',
  'lags',
  'drops',
  'reorders',
  'forges',
  'otherFork',
  'fails',
  'rushes',
  'noBloom',
  'orphans',
] as const
type Lie = (typeof lies)[number]

let folder: string
let running: ChainProcess
let owner: ChainWallet
let node: JsonRpcServer
/** The lies of the next requests; honest when there are none left. */
let plan: Lie[] = []

type Record_ = Record<string, unknown>
const number = (value: unknown) => BigInt(value as string)
const forgedHash = (seed: string): Hex => pad(toHex(seed), { size: 32 })

/** Changes the logs of an answer: those of eth_getLogs, or those of a receipt. */
const twist = (lie: Lie, logs: readonly Record_[]): readonly Record_[] => {
  if (lie === 'drops') return logs.slice(1)
  if (lie === 'reorders') return logs.toReversed()
  const last = logs.at(-1)
  if (lie === 'forges' && last !== undefined) {
    const forged = { ...last, topics: [...(last.topics as Hex[])], logIndex: '0x63' }
    forged.topics[1] = forgedHash('made up')
    return [...logs, forged]
  }
  return logs
}

/** Answers one request as a lying node. */
const lying: Handle = async (method, params) => {
  const lie = plan.shift() ?? 'honest'
  const honest = (asked: readonly unknown[] = params) => owner.rpc(method, asked)
  if (lie === 'fails') throw rpcError(-32000, 'header not found')
  if (method === 'eth_blockNumber') {
    const head = number(await honest())
    if (lie === 'lags') return toHex(head > 3n ? head - 3n : 0n)
    return toHex(lie === 'rushes' ? head + 3n : head)
  }
  if (method === 'eth_getLogs') {
    if (lie === 'lags') return []
    return twist(lie, (await honest()) as Record_[])
  }
  if (method.startsWith('eth_getBlockBy')) {
    if (lie === 'lags') return null
    const block = (await honest()) as Record_ | null
    if (block === null) return null
    if (lie === 'otherFork') return { ...block, hash: forgedHash('fork'), parentHash: forgedHash('fork of parent') }
    if (lie === 'drops') return { ...block, transactions: [] }
    if (lie === 'noBloom') return { ...block, logsBloom: `0x${'0'.repeat(512)}` }
    if (lie === 'orphans') return { ...block, parentHash: forgedHash('no parent') }
    return block
  }
  if (method === 'eth_getTransactionReceipt') {
    if (lie === 'lags') return null
    const receipt = (await honest()) as Record_ | null
    if (receipt === null) return null
    if (lie === 'otherFork') return { ...receipt, blockHash: forgedHash('fork') }
    return { ...receipt, logs: twist(lie, receipt.logs as Record_[]) }
  }
  return honest()
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chain-lies-'))
  running = await startChainProcess({ folder, blockIntervalMs: 3_600_000, allowReorganisations: true })
  owner = chainWallet(running.description, generatePrivateKey(), running.ownerSecret)
  node = await serveJsonRpc({ port: 0, handle: lying })
})
afterAll(async () => {
  await node?.close()
  await running?.stop()
  await rm(folder, { recursive: true, force: true })
})

const mine = () => owner.rpc('evm_mine')
const headOf = async () => number(await owner.rpc('eth_blockNumber'))
const newPayer = async (): Promise<ChainWallet> => {
  const payer = chainWallet(running.description, generatePrivateKey(), running.ownerSecret)
  await owner.rpc('hardhat_setBalance', [payer.address, toHex(10n ** 18n)])
  await payer.prepare(1_000n)
  return payer
}

/** Makes a watcher over a log in memory, which sees the chain through the lying node, from now on. */
const createWorld = async (from?: CursorPlace) => {
  const honest: Chain = running.embedded.chain
  const { token, marketplace, chainId } = running.description
  const chain = rpcChain({
    ...{ rpcUrl: node.url, chainId, token, marketplace, asset: 'USDC/6', confirmations: embeddedConfirmations },
    id: honest.id ?? '',
  })
  await chain.heights()
  const block = await headOf()
  const cursor = createCursor()
  await cursor.save(from ?? { block, hash: await honest.blockHash(block), chain: honest.id })
  const store = createMemoryEventStore()
  const commands = createCommands({ store })
  const facts = async () => {
    const found: { readonly type: string; readonly payment: string }[] = []
    for await (const { type, stream } of store.readAll({ streamPrefix: 'payment-' }))
      found.push({ type, payment: idOf(stream) })
    return found
  }
  const finalCount = async () => BigInt((await facts()).filter(({ type }) => type === 'DepositFinalized').length)
  const pendingPayments = async () => [...new Set((await facts()).map(({ payment }) => payment))]
  const now = () => '2026-01-01T00:00:00.000Z'
  const watcher = { chain, cursor, commands, pendingPayments, finalCount, now }
  return { watcher, honest, facts, commands, from: block + 1n }
}
type World = Awaited<ReturnType<typeof createWorld>>

const known = ['CHAIN_NODES_DISAGREE', 'CHAIN_UNAVAILABLE']
/** Looks once through nodes that lie as planned. Resolves to false when the look ended with a failure. */
const look = async ({ watcher }: World, planned: readonly Lie[] = []): Promise<boolean> => {
  plan = [...planned]
  try {
    await watchOnce(watcher)
    return true
  } catch (error) {
    if (!(error instanceof Failure) || !known.includes(error.code)) throw error
    return false
  } finally {
    plan = []
  }
}

const liesOfALook = fc.array(
  fc.oneof({ weight: 3, arbitrary: fc.constant<Lie>('honest') }, { weight: 2, arbitrary: fc.constantFrom(...lies) }),
  { maxLength: 14 },
)
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ does: fc.constant('pay' as const), amount: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 3, arbitrary: fc.constant({ does: 'mine' as const }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('reorganise' as const), again: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ does: fc.constant('look' as const), lies: liesOfALook }) },
)

test('with nodes that lie: no deposit is lost, credited twice or made up, and none is called vanished wrongly', async () => {
  let refusedLooks = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), async (steps) => {
      const payer = await newPayer()
      const world = await createWorld()
      const { honest, facts, from } = world
      const onChain = async () =>
        (await honest.deposits(from, await headOf())).filter((one) => one.payer === payer.address)
      let checked = 0
      /** Checks that what was recorded as final or vanished is so on the real chain at that moment. */
      const check = async () => {
        const there = new Set<string>((await onChain()).map(({ depositId }) => depositId))
        const all = await facts()
        for (const { type, payment } of all.slice(checked)) {
          if (type === 'DepositVanished') expect([payment, there.has(payment)]).toEqual([payment, false])
          if (type === 'DepositFinalized') expect([payment, there.has(payment)]).toEqual([payment, true])
        }
        checked = all.length
      }
      for (const what of steps) {
        if (what.does === 'pay') await payer.deposit(BigInt(what.amount))
        else if (what.does === 'mine') await mine()
        else if (what.does === 'reorganise') {
          // One block of another branch is above what is final, so it may go.
          const snapshot = await owner.rpc('evm_snapshot')
          await payer.deposit(7n)
          if (what.again) await look(world)
          await owner.rpc('evm_revert', [snapshot])
          await mine()
        } else {
          if (!(await look(world, what.lies))) refusedLooks += 1
          await check()
        }
      }
      for (let block = 0; block <= embeddedConfirmations; block++) await mine()
      for (let tries = 0; tries < 3; tries++) expect(await look(world)).toBe(true)
      await check()
      const finalized = (await facts()).filter(({ type }) => type === 'DepositFinalized').map(({ payment }) => payment)
      expect(finalized.sort()).toEqual((await onChain()).map(({ depositId }) => depositId).sort())
    }),
    { numRuns: 40 },
  )
  expect(refusedLooks).toBeGreaterThan(10)
}, 120_000)

test.each(['noBloom', 'orphans', 'otherFork', 'drops'] as const)(
  'a node that shows false headers (%s) for a while, and is honest then, costs no deposit',
  async (lie) => {
    const world = await createWorld()
    await (await newPayer()).deposit(5n)
    for (let block = 0; block <= embeddedConfirmations; block++) await mine()
    for (let times = 0; times < 3; times++)
      await look(
        world,
        Array.from({ length: 50 }, () => lie),
      )
    expect(await look(world)).toBe(true)
    expect((await world.facts()).map(({ type }) => type)).toEqual(['DepositObserved', 'DepositFinalized'])
  },
)

describe('a deposit that was missed', () => {
  /** Makes a world whose cursor is above the payer's first deposit, as if a node had left it out. */
  const missed = async () => {
    const payer = await newPayer()
    const first = await payer.deposit(5n)
    for (let block = 0; block < 3; block++) await mine()
    const world = await createWorld()
    const finals = async () => (await world.facts()).filter(({ type }) => type === 'DepositFinalized').length
    return { payer, first, finals, ...world }
  }

  test('is found by the next one of the same payer, for its number shows a gap', async () => {
    const { payer, finals, ...world } = await missed()
    await look(world)
    expect(await finals()).toBe(0)
    await payer.deposit(6n)
    for (let block = 0; block < 3; block++) await mine()
    await look(world)
    expect(await finals()).toBe(2)
  })

  test('is found by a rescan, once, and the rescan says so', async () => {
    const { first, finals, watcher } = await missed()
    let rescan = { id: 1n, from: first.blockNumber - 1n, to: first.blockNumber + 1n, next: 0n, recovered: 0n }
    rescan = { ...rescan, next: rescan.from }
    const rescans = {
      nextOpen: async () => (rescan.next > rescan.to ? undefined : rescan),
      report: async (reported: typeof rescan) => {
        rescan = reported
      },
    }
    const recorder = createRecorder(watcher)
    await rescanOnce({ ...watcher, rescans, recorder })
    expect([await finals(), rescan.recovered, await rescans.nextOpen()]).toEqual([1, 1n, undefined])
    rescan = { ...rescan, next: rescan.from, recovered: 0n }
    await rescanOnce({ ...watcher, rescans, recorder })
    expect([await finals(), rescan.recovered]).toEqual([1, 0n])
  })
})

describe('another chain under an old database', () => {
  const placeOn = async (): Promise<CursorPlace> => {
    const block = await headOf()
    return { block, hash: await running.embedded.chain.blockHash(block), chain: running.embedded.chain.id }
  }
  const refusal = (place: CursorPlace | undefined, chain: Chain = running.embedded.chain) =>
    refuseOtherChain({ chain, cursor: { load: async () => place } }, 1)

  test('is refused by its id, and by the hash of the block of the cursor', async () => {
    const place = await placeOn()
    await refusal(undefined)
    await refusal(place)
    await refusal({ ...place, hash: undefined, chain: undefined })
    for (const other of [
      { ...place, chain: 'another' },
      { ...place, hash: forgedHash('other') },
      { ...place, block: place.block + 1_000n },
    ])
      await expect(refusal(other)).rejects.toMatchObject({ code: 'CHAIN_REPLACED' })
  })

  test('a second embedded chain has the same deposit ids and another id', async () => {
    const second = await mkdtemp(join(tmpdir(), 'chain-second-'))
    const other = await startChainProcess({ folder: second })
    try {
      expect({ ...other.description, rpcUrl: '' }).toEqual({ ...running.description, rpcUrl: '' })
      expect(await other.embedded.chain.blockHash(0n)).toBe(await running.embedded.chain.blockHash(0n))
      expect(other.embedded.chain.id).not.toBe(running.embedded.chain.id)
      await expect(refusal(await placeOn(), other.embedded.chain)).rejects.toMatchObject({ code: 'CHAIN_REPLACED' })
    } finally {
      await other.stop()
      await rm(second, { recursive: true, force: true })
    }
  })

  test('a node that does not answer, or lags behind, is no other chain', async () => {
    const place = await placeOn()
    const away = async () => {
      throw new Failure('CHAIN_UNAVAILABLE')
    }
    const plain = { ...running.embedded.chain, id: undefined }
    await refusal(place, { ...plain, blockHash: away })
    await refusal(place, { ...plain, blockHash: async () => undefined })
  })
})
