import { createCommands } from '../commands/execute.ts'
import { idOf } from '../domain/aggregates.ts'
import { Failure } from '../domain/errors.ts'
import type { Chain, ChainCursor, CursorPlace, CustodyReport, Deposit } from '../infra/chain/port.ts'
import { createMemoryEventStore } from '../infra/event-store/memory.ts'
import { creditDeposit } from './credit-deposit.ts'
import { runSaga } from './saga.ts'
import { watchOnce } from './watch-deposits.ts'

const description = {
  chainId: 31337,
  rpcUrl: 'http://127.0.0.1:1',
  token: '0xT0',
  marketplace: '0xM0',
  asset: 'USDC/6',
} as const

export type Paid = {
  readonly id: string
  readonly amount: bigint
  readonly token?: `0x${string}`
  readonly sequence?: bigint
}
type Block = { readonly hash: `0x${string}`; readonly paid: readonly Paid[] }

/** Creates a chain as plain data. `branch` is part of the hash: the same height on another branch is another block. */
const createChain = () => {
  const blocks: Block[] = []
  let final = -1
  const mine = (paid: readonly Paid[] = [], branch = 'a') => {
    blocks.push({ hash: `0x${blocks.length}${branch}`, paid })
  }
  const depositsOf = ({ hash, paid }: Block, height: number): Deposit[] =>
    paid.map(({ id, amount, token = '0xt0', sequence = 0n }) => ({
      depositId: `0x${id}`,
      payer: '0xADA',
      token,
      amount,
      transactionHash: `0xtx-${id}`,
      blockNumber: BigInt(height),
      blockHash: hash,
      sequence,
    }))
  const depositsIn = (from: bigint, to: bigint) =>
    blocks.flatMap((block, height) => (height >= from && height <= to ? depositsOf(block, height) : []))
  return {
    blocks,
    mine,
    /** Takes the last blocks away and gives what was paid in them. Never touches what is final. */
    undo: (depth: number): Paid[] => {
      const from = Math.max(final + 1, blocks.length - depth)
      return blocks.splice(from).flatMap(({ paid }) => paid)
    },
    finalize: (height = blocks.length - 1) => {
      final = Math.max(final, height)
    },
    port: {
      description,
      heights: async () => ({ head: BigInt(blocks.length - 1), final: BigInt(final) }),
      id: undefined,
      readDeposits: async ({ from, to, after }) => {
        if (to >= blocks.length) throw new Failure('CHAIN_NODES_DISAGREE')
        if (after !== undefined && blocks[Number(from) - 1]?.hash !== after) throw new Failure('CHAIN_NODES_DISAGREE')
        const heights = Array.from({ length: Number(to - from) + 1 }, (_, index) => from + BigInt(index))
        const hashes = new Map(heights.map((height) => [height, blocks[Number(height)]?.hash ?? '0x']))
        return { deposits: depositsIn(from, to), to, hashes, proved: true }
      },
      deposits: async (from, to) => depositsIn(from, to),
      blockHash: async (height) => blocks[Number(height)]?.hash,
      custody: async (height) => depositsIn(0n, height).reduce((sum, { amount }) => sum + amount, 0n),
      hasSigned: async () => false,
      close: async () => undefined,
    } satisfies Chain,
  }
}

export const createCursor = (): ChainCursor => {
  let saved: CursorPlace | undefined
  let custody: CustodyReport | undefined
  return {
    load: async () => saved,
    save: async (place) => {
      if (saved === undefined || place.block > saved.block) saved = place
    },
    loadCustody: async () => custody,
    saveCustody: async (report) => {
      custody = report
    },
  }
}

/** Watchers of one chain over a log in memory. */
export const createWatchWorld = () => {
  const store = createMemoryEventStore()
  const chain = createChain()
  const cursor = createCursor()
  const commands = createCommands({ store })
  const now = () => '2026-01-01T00:00:00.000Z'
  const payments = async () => {
    const ids = new Set<string>()
    for await (const { stream } of store.readAll({ streamPrefix: 'payment-' })) ids.add(idOf(stream))
    return [...ids]
  }
  // It may lag behind, so it may as well name all there ever were.
  const finalCount = async () => {
    let count = 0n
    for await (const { type } of store.readAll()) if (type === 'DepositFinalized') count += 1n
    return count
  }
  const watcher = { chain: chain.port, cursor, commands, pendingPayments: payments, finalCount, now }
  return {
    store,
    chain,
    cursor,
    commands,
    watcher,
    payments,
    look: () => watchOnce(watcher),
    status: async (id: string) => (await commands.load('payment', `0x${id}`)).state.status,
    history: async (id: string) => (await commands.load('payment', `0x${id}`)).history.map(({ event }) => event.type),
    /** Credits whatever is final, as the process does. */
    credited: async () => {
      for await (const { type, stream, revision } of store.readAll())
        if (type === 'DepositFinalized') await runSaga({ commands, now }, creditDeposit, { id: idOf(stream), revision })
      const { state } = await commands.load('account', '0xada')
      return state.status === 'open' ? (state.balances.get('USDC/6')?.available ?? 0n) : 0n
    },
  }
}

type World = ReturnType<typeof createWatchWorld>

/** Runs a watcher that is killed at its n-th await on anything outside: before the call, or after it was done. */
export const killedAt = ({ watcher, store }: World, at: number, when: 'before' | 'after') => {
  let awaits = 0
  const mortal =
    <Args extends unknown[], Answer>(work: (...args: Args) => Promise<Answer>) =>
    async (...args: Args): Promise<Answer> => {
      awaits++
      if (awaits >= at && (when === 'before' || awaits > at)) throw new Error('killed')
      const answer = await work(...args)
      if (awaits >= at) throw new Error('killed')
      return answer
    }
  const commands = createCommands({ store: { ...store, append: mortal(store.append) } })
  return {
    ...watcher,
    commands: { ...commands, current: mortal(commands.current) as typeof commands.current },
    chain: {
      ...watcher.chain,
      heights: mortal(watcher.chain.heights),
      readDeposits: mortal(watcher.chain.readDeposits),
    },
    cursor: { ...watcher.cursor, load: mortal(watcher.cursor.load), save: mortal(watcher.cursor.save) },
    pendingPayments: mortal(watcher.pendingPayments),
  }
}
