import { systemActors } from '../commands/actor.ts'
import { commandIds, correlationIds } from '../commands/derived-ids.ts'
import { type Commands, mustExecute } from '../commands/execute.ts'
import type { CommandOf } from '../domain/aggregates.ts'
import { Failure } from '../domain/errors.ts'
import { createBackoff } from '../infra/async/backoff.ts'
import { sleep } from '../infra/async/sleep.ts'
import type { Chain, ChainCursor, Deposit } from '../infra/chain/port.ts'
import type { Log } from '../infra/telemetry.ts'

type Dependencies = {
  readonly chain: Chain
  readonly cursor: ChainCursor
  readonly commands: Commands
  /** Resolves to the ids of payments that were observed in a block up to `block` and are not final; may lag behind. */
  readonly pendingPayments: (block: bigint) => Promise<readonly string[]>
  /** ISO 8601 in UTC. */
  readonly now: () => string
}

const blocksAtOnceMax = 5_000n

/** Reads the chain once. Every block above the cursor is read again each time, because it may still change: a deposit
 *  in it is observed. A deposit in a final block is final, and only then is it money. A deposit that was observed in
 *  such a block and is not in it any more has vanished. Resolves to whether there are more blocks to read. */
export const watchOnce = async ({ chain, cursor, commands, pendingPayments, now }: Dependencies): Promise<boolean> => {
  const { head, final } = await chain.heights()
  const from = ((await cursor.load()) ?? -1n) + 1n
  if (head < from) return false
  const to = head - from < blocksAtOnceMax ? head : from + blocksAtOnceMax - 1n
  const finalTo = final < to ? final : to
  const deposits = (await chain.deposits(from, to)).filter(({ token }) => same(token, chain.description.token))

  const send = async (payment: string, command: CommandOf<'payment'>, ...identity: string[]) => {
    const correlationId = correlationIds.deposit(payment)
    const commandId = commandIds.watchDeposit(payment, command.type, ...identity)
    const envelope = {
      commandId,
      correlationId,
      causationId: correlationId,
      actor: systemActors.watcher,
      time: now(),
    }
    mustExecute(await commands.execute('payment', payment, command, envelope))
  }

  for (const deposit of deposits) {
    const { revision } = await commands.current('payment', deposit.depositId)
    // The number of sightings is part of the id: the same block may come, go and come back.
    await send(deposit.depositId, observe(chain, deposit), deposit.blockHash, timesSeen(revision))
    if (deposit.blockNumber > finalTo) continue
    const { state } = await commands.current('payment', deposit.depositId)
    if (state.status === 'observed') await send(deposit.depositId, { type: 'FinalizeDeposit' })
  }
  for (const payment of await pendingPayments(finalTo)) {
    const { state, revision } = await commands.current('payment', payment)
    const stillThere = deposits.some(({ depositId }) => depositId === payment)
    if (state.status !== 'observed' || state.blockNumber > finalTo || stillThere) continue
    await send(payment, { type: 'ReportDepositVanished' }, state.blockHash, timesSeen(revision))
  }
  if (finalTo >= from) await cursor.save(finalTo)
  return to < head
}

const observe = (
  chain: Chain,
  { depositId, payer, amount, transactionHash, blockNumber, blockHash }: Deposit,
): CommandOf<'payment'> => ({
  type: 'ObserveDeposit',
  payment: depositId,
  user: payer.toLowerCase(),
  amount: { amount, asset: chain.description.asset },
  chainId: chain.description.chainId,
  transactionHash,
  blockNumber,
  blockHash,
})

/** Returns the number of sightings: every event of a payment is one. */
const timesSeen = (revision: bigint | undefined): string => String((revision ?? -1n) + 1n)

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase()

const pollEveryMs = 400
const pauseMsMin = 800
const pauseMsMax = 5_000

/** Watches until the signal aborts. While the chain or the database is away it tries again, and logs that once. */
export const watchDeposits = async (
  dependencies: Dependencies & { readonly log: Log; readonly signal: AbortSignal },
): Promise<void> => {
  const { log, signal } = dependencies
  const backoff = createBackoff({ minMs: pauseMsMin, maxMs: pauseMsMax })
  while (!signal.aborted) {
    try {
      const more = await watchOnce(dependencies)
      if (!backoff.isFresh) log.info('the chain is watched again')
      backoff.reset()
      if (!more) await sleep(pollEveryMs, signal)
    } catch (error) {
      const code = error instanceof Failure ? error.code : 'INTERNAL'
      if (backoff.isFresh) log.warn({ err: error, code }, 'the chain cannot be watched; trying again')
      await backoff.pause(signal)
    }
  }
}
