import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { systemActor } from '../commands/actor.ts'
import { createCommands } from '../commands/execute.ts'
import { derivedId } from '../commands/ids.ts'
import { idOf } from '../domain/aggregates.ts'
import { Failure } from '../domain/errors.ts'
import type { Chain } from '../infra/chain/port.ts'
import { createLog } from '../infra/telemetry.ts'
import { chartOf } from '../testing/worlds/market.ts'
import { createCursor, createWatchWorld, killedAt, type Paid } from './watch-deposits.testing.ts'
import { watchDeposits, watchOnce } from './watch-deposits.ts'

const five = { id: 'five', amount: 5n }

describe('a deposit', () => {
  test('is observed as soon as it is in a block, and is no money yet', async () => {
    const { chain, look, commands, credited, store } = createWatchWorld()
    chain.mine([five])
    expect(await look()).toBe(false)
    expect((await commands.load('payment', '0xfive')).state).toEqual({
      status: 'observed',
      payment: '0xfive',
      user: '0xada',
      amount: { amount: 5n, asset: 'USDC/6' },
      chainId: 31337,
      transactionHash: '0xtx-five',
      blockNumber: 0n,
      blockHash: '0x0a',
    })
    for await (const { metadata } of store.readAll())
      expect(metadata).toMatchObject({
        actor: systemActor('watcher'),
        correlationId: derivedId('deposit', '0xfive'),
        causationId: derivedId('deposit', '0xfive'),
      })
    expect(await credited()).toBe(0n)
  })

  test('becomes final with its block, and is credited once', async () => {
    const { chain, look, history, credited, cursor } = createWatchWorld()
    chain.mine([five])
    await look()
    chain.finalize(0)
    chain.mine()
    await look()
    await look()
    expect(await history('five')).toEqual(['DepositObserved', 'DepositFinalized'])
    expect(await credited()).toBe(5n)
    expect((await cursor.load())?.block).toBe(0n)
  })

  test('that is final when first seen is both at once', async () => {
    const { chain, look, history } = createWatchWorld()
    chain.mine([five])
    chain.finalize()
    await look()
    expect(await history('five')).toEqual(['DepositObserved', 'DepositFinalized'])
  })

  test('of another token is none', async () => {
    const { chain, look, payments } = createWatchWorld()
    chain.mine([{ ...five, token: '0xother' }])
    chain.finalize()
    await look()
    expect(await payments()).toEqual([])
  })

  test('changes nothing while the chain does not change, however often it runs', async () => {
    const { chain, look, store } = createWatchWorld()
    chain.mine([five])
    await look()
    const head = await store.head()
    for (let again = 0; again < 3; again++) await look()
    expect(await store.head()).toBe(head)
  })
})

describe('a reorganisation', () => {
  test('moves a deposit to another block: it is observed there, and credited once', async () => {
    const { chain, look, history, credited, commands } = createWatchWorld()
    chain.mine()
    chain.mine([five])
    await look()
    chain.mine(chain.undo(1), 'b')
    await look()
    expect((await commands.load('payment', '0xfive')).state).toMatchObject({ status: 'observed', blockHash: '0x1b' })
    chain.finalize()
    await look()
    expect(await history('five')).toEqual(['DepositObserved', 'DepositObserved', 'DepositFinalized'])
    expect(await credited()).toBe(5n)
  })

  test('takes a deposit away: it has vanished once its height is final, and is never money', async () => {
    const { chain, look, history, credited } = createWatchWorld()
    chain.mine([five])
    await look()
    chain.undo(1)
    chain.mine([], 'b')
    await look()
    expect(await history('five')).toEqual(['DepositObserved'])
    chain.finalize()
    await look()
    await look()
    expect(await history('five')).toEqual(['DepositObserved', 'DepositVanished'])
    expect(await credited()).toBe(0n)
  })

  test('brings a vanished deposit back in a later block', async () => {
    const { chain, look, history, credited } = createWatchWorld()
    chain.mine([five])
    await look()
    chain.undo(1)
    chain.mine([], 'b')
    chain.finalize()
    await look()
    chain.mine([five], 'b')
    chain.finalize()
    await look()
    const story = ['DepositObserved', 'DepositVanished', 'DepositObserved', 'DepositFinalized']
    expect(await history('five')).toEqual(story)
    expect(await credited()).toBe(5n)
  })

  test('goes there and back again, to the very same block', async () => {
    const { chain, look, history, credited } = createWatchWorld()
    for (const branch of ['a', 'b', 'a', 'b', 'a']) {
      chain.undo(1)
      chain.mine([five], branch)
      await look()
    }
    chain.finalize()
    await look()
    expect(await history('five')).toEqual([...Array(5).fill('DepositObserved'), 'DepositFinalized'])
    expect(await credited()).toBe(5n)
  })

  test('seen in an outdated view: the deposit of a block that is gone vanishes again', async () => {
    const { chain, look, watcher, history, status } = createWatchWorld()
    chain.mine([five])
    const stale = {
      heights: await chain.port.heights(),
      read: await chain.port.readDeposits({ from: 0n, to: 0n, final: -1n }),
    }
    await look()
    chain.undo(1)
    chain.mine([], 'b')
    chain.finalize()
    await look()
    const slow = { ...watcher.chain, heights: async () => stale.heights, readDeposits: async () => stale.read }
    await watchOnce({ ...watcher, chain: slow, cursor: createCursor() })
    expect(await status('five')).toBe('observed')
    chain.mine([], 'b')
    await look()
    const story = ['DepositObserved', 'DepositVanished', 'DepositObserved', 'DepositVanished']
    expect(await history('five')).toEqual(story)
  })
})

describe('the cursor', () => {
  test('stays at the last final block, survives a restart, and blocks below are not read again', async () => {
    const { chain, look, watcher, cursor } = createWatchWorld()
    for (let height = 0; height < 5; height++) chain.mine()
    chain.finalize(2)
    await look()
    expect((await cursor.load())?.block).toBe(2n)
    const asked: bigint[][] = []
    const readDeposits: Chain['readDeposits'] = async (range) => {
      asked.push([range.from, range.to])
      return chain.port.readDeposits(range)
    }
    await watchOnce({ ...watcher, chain: { ...chain.port, readDeposits } })
    expect(asked).toEqual([[3n, 4n]])
    expect((await cursor.load())?.block).toBe(2n)
  })

  test('does not move while nothing is final', async () => {
    const { chain, look, cursor } = createWatchWorld()
    expect(await look()).toBe(false)
    chain.mine([five])
    await look()
    expect(await cursor.load()).toBeUndefined()
  })

  test('reads a long chain in parts, and returns whether more is left', async () => {
    const { chain, look, watcher, cursor } = createWatchWorld()
    const heights = async () => ({ head: 12_000n, final: 11_000n })
    const asked: bigint[][] = []
    const readDeposits: Chain['readDeposits'] = async ({ from, to, final }) => {
      asked.push([from, to])
      return { deposits: [], to, hashes: new Map([[final < to ? final : to, '0x']]), proved: false }
    }
    const long = { ...watcher, chain: { ...chain.port, heights, readDeposits } }
    expect([await watchOnce(long), await watchOnce(long), await watchOnce(long)]).toEqual([true, true, false])
    expect(asked).toEqual([
      [0n, 4_999n],
      [5_000n, 9_999n],
      [10_000n, 12_000n],
    ])
    expect((await cursor.load())?.block).toBe(11_000n)
    // A node that lags behind what was seen before.
    expect(await look()).toBe(false)
  })
})

test('two watchers at once record everything once', async () => {
  const { chain, watcher, store, history, credited } = createWatchWorld()
  const other = { ...watcher, commands: createCommands({ store }) }
  chain.mine([five, { id: 'six', amount: 6n }])
  await Promise.all([watchOnce(watcher), watchOnce(other)])
  chain.mine(chain.undo(1), 'b')
  await Promise.all([watchOnce(watcher), watchOnce(other)])
  chain.finalize()
  await Promise.all([watchOnce(watcher), watchOnce(other)])
  for (const id of ['five', 'six'])
    expect(await history(id)).toEqual(['DepositObserved', 'DepositObserved', 'DepositFinalized'])
  expect(await credited()).toBe(11n)
})

describe('a watcher that is killed', () => {
  test.each(['before', 'after'] as const)('%s any await leaves nothing half done', async (when) => {
    let awaits = 0
    for (let killed = true; killed; awaits++) {
      const world = createWatchWorld()
      world.chain.mine([five, { id: 'gone', amount: 7n }])
      world.chain.mine([{ id: 'six', amount: 6n }])
      await world.look()
      world.chain.undo(2)
      world.chain.mine([], 'b')
      world.chain.mine([five], 'b')
      world.chain.mine([{ id: 'six', amount: 6n }], 'b')
      world.chain.finalize(1)
      killed = await watchOnce(killedAt(world, awaits + 1, when)).then(
        () => false,
        (error: Error) => error.message === 'killed',
      )
      await world.look()
      expect(await Promise.all(['five', 'six', 'gone'].map(world.status))).toEqual(['final', 'observed', 'vanished'])
      world.chain.finalize()
      await world.look()
      expect(await world.credited()).toBe(11n)
    }
    expect(awaits).toBeGreaterThan(15)
  })
})

/** What watchDeposits needs besides, with nothing to do. */
const around = {
  rescans: { nextOpen: async () => undefined, report: async () => undefined },
  ledgerCustody: async () => 0n,
  onCustody: () => undefined,
}

/** What may happen to a chain and to its watchers. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ does: fc.constant('mine' as const), pay: fc.nat(2), again: fc.boolean() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      does: fc.constant('reorganise' as const),
      depth: fc.integer({ min: 1, max: 4 }),
      keep: fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }),
      shift: fc.nat(1),
      branch: fc.constantFrom('a', 'b'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('finalize' as const), behind: fc.nat(3) }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant('look' as const), killAt: fc.nat(40) }) },
  { weight: 3, arbitrary: fc.record({ does: fc.constant('goOn' as const) }) },
)

test('in any history of the chain: no deposit is credited twice, and what is final is credited', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(step, { maxLength: 30 }), async (scheduler, steps) => {
      const world = createWatchWorld()
      const { chain, watcher, store } = world
      const looks: Promise<unknown>[] = []
      const mempool: Paid[] = []
      let count = 0
      const pay = (): Paid => {
        count++
        return { id: String(count), amount: 10n ** BigInt(count % 20) }
      }
      /** Runs a watcher as its own slow process: what it has read may be old before it acts. */
      const lookAsProgram = (killAt: number) => {
        const { chain: seen, ...rest } = killAt === 0 ? watcher : killedAt(world, killAt, 'after')
        const slow = { ...seen, readDeposits: scheduler.scheduleFunction(seen.readDeposits.bind(seen)) }
        const commands = killAt === 0 ? createCommands({ store }) : rest.commands
        return watchOnce({ ...rest, commands, chain: slow }).catch((error: unknown) => {
          const known =
            error instanceof Failure &&
            ['PAYMENT_UNKNOWN', 'PAYMENT_FINAL', 'CHAIN_NODES_DISAGREE'].includes(error.code)
          if (!known && (error as Error).message !== 'killed') throw error
        })
      }
      for (const what of steps) {
        if (what.does === 'mine') {
          const back = what.again ? mempool.splice(0) : []
          chain.mine([...back, ...Array.from({ length: what.pay }, pay)])
        } else if (what.does === 'reorganise') {
          const undone = chain.undo(what.depth)
          const kept = undone.filter((_, index) => what.keep[index % what.keep.length])
          mempool.push(...undone.filter((paid) => !kept.includes(paid)))
          for (let empty = 0; empty < what.shift; empty++) chain.mine([], what.branch)
          chain.mine(kept, what.branch)
        } else if (what.does === 'finalize') chain.finalize(chain.blocks.length - 1 - what.behind)
        else if (what.does === 'look') looks.push(lookAsProgram(what.killAt))
        else if (scheduler.count() > 0) await scheduler.waitOne()
      }
      await scheduler.waitFor(Promise.all(looks))
      chain.mine()
      chain.finalize()
      while (await world.look());
      await world.look()

      const onChain = chain.blocks.flatMap(({ paid }) => paid)
      for (const { id } of onChain) expect(await world.history(id)).toContain('DepositFinalized')
      const finalized: string[] = []
      for await (const { type, stream } of store.readAll())
        if (type === 'DepositFinalized') finalized.push(idOf(stream))
      expect(finalized.sort()).toEqual(onChain.map(({ id }) => `0x${id}`).sort())
      for (const { id } of mempool) expect(['none', 'vanished']).toContain(await world.status(id))
      expect(await world.credited()).toBe(onChain.reduce((sum, { amount }) => sum + amount, 0n))
      for (const [account, sum] of await chartOf(store)) if (account.startsWith('transit:')) expect(sum).toBe(0n)
    }),
    { numRuns: 150 },
  )
})

test('while the chain is away the watcher keeps trying, logs that once, and logs when it is back', async () => {
  const { chain, watcher, status } = createWatchWorld()
  const lines: Record<string, unknown>[] = []
  const back = Promise.withResolvers<void>()
  const write = (line: string) => {
    lines.push(JSON.parse(line))
    if (lines.at(-1)?.level === 'info') back.resolve()
  }
  const log = createLog({ level: 'info', format: 'json' }, { write })
  const stopping = new AbortController()
  chain.mine([five])
  let looks = 0
  const heights: Chain['heights'] = async () => {
    looks++
    if (looks <= 2) throw new Failure('CHAIN_UNAVAILABLE')
    return chain.port.heights()
  }
  const away = { ...watcher, ...around, chain: { ...chain.port, heights } }
  const watching = watchDeposits({ ...away, log, signal: stopping.signal })
  await back.promise
  stopping.abort()
  await watching
  expect(await status('five')).toBe('observed')
  expect(lines).toMatchObject([
    { level: 'warn', code: 'CHAIN_UNAVAILABLE', msg: 'the chain cannot be watched; trying again' },
    { level: 'info', msg: 'the chain is watched again' },
  ])
})
