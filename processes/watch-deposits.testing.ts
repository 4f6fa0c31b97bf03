import { createCommands } from '../commands/execute.ts'
import { idOf } from '../domain/aggregates.ts'
import type { Chain, ChainCursor, Deposit } from '../infra/chain/port.ts'
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

export type Paid = { readonly id: string; readonly amount: bigint; readonly token?: `0x${string}` }
type Block = { readonly hash: `0x${string}`; readonly paid: readonly Paid[] }

/** Creates a chain as plain data. `branch` is part of the hash: the same height on another branch is another block. */
const createChain = () => {
  const blocks: Block[] = []
  let final = -1
  const mine = (paid: readonly Paid[] = [], branch = 'a') => {
    blocks.push({ hash: `0x${blocks.length}${branch}`, paid })
  }
  const depositsOf = ({ hash, paid }: Block, height: number): Deposit[] =>
    paid.map(({ id, amount, token = '0xt0' }) => ({
      depositId: `0x${id}`,
      payer: '0xADA',
      token,
      amount,
      transactionHash: `0xtx-${id}`,
      blockNumber: BigInt(height),
      blockHash: hash,
    }))
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
      deposits: async (from: bigint, to: bigint) =>
        blocks.flatMap((block, height) => (height >= from && height <= to ? depositsOf(block, height) : [])),
      close: async () => undefined,
    } satisfies Chain,
  }
}

export const createCursor = (): ChainCursor => {
  let saved: bigint | undefined
  return {
    load: async () => saved,
    save: async (block) => {
      if (saved === undefined || block > saved) saved = block
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
  const watcher = { chain: chain.port, cursor, commands, pendingPayments: payments, now }
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
    chain: { ...watcher.chain, heights: mortal(watcher.chain.heights), deposits: mortal(watcher.chain.deposits) },
    cursor: { load: mortal(watcher.cursor.load), save: mortal(watcher.cursor.save) },
    pendingPayments: mortal(watcher.pendingPayments),
  }
}
