import { systemActors } from '../../commands/actor.ts'
import { commandIds, correlationIds } from '../../commands/derived-ids.ts'
import { type Commands, mustExecute } from '../../commands/execute.ts'
import type { CommandOf } from '../../domain/aggregates.ts'
import type { Chain, Deposit } from '../../infra/chain/port.ts'

export type Recording = {
  readonly chain: Chain
  readonly commands: Commands
  /** ISO 8601 in UTC. */
  readonly now: () => string
}

/** Makes what turns deposits into facts. Several watchers may do so at once: the ids of commands are derived. */
export const createRecorder = ({ chain, commands, now }: Recording) => {
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

  const observe = async (deposit: Deposit): Promise<void> => {
    const { revision } = await commands.current('payment', deposit.depositId)
    // The number of sightings is part of the id: the same block may come, go and come back.
    await send(deposit.depositId, observation(chain, deposit), deposit.blockHash, timesSeen(revision))
  }

  return {
    observe,
    /** Resolves to true when the payment is final. */
    isFinal: async (payment: string): Promise<boolean> =>
      (await commands.current('payment', payment)).state.status === 'final',
    /** Records a deposit of a final block. Resolves to false when the log had it as final. */
    finalize: async (deposit: Deposit): Promise<boolean> => {
      await observe(deposit)
      const { state } = await commands.current('payment', deposit.depositId)
      if (state.status !== 'observed') return false
      await send(deposit.depositId, { type: 'FinalizeDeposit' })
      return true
    },
    /** Records that an observed deposit is not in the block where it was seen, and in no other one so far. */
    vanish: async (payment: string): Promise<void> => {
      const { state, revision } = await commands.current('payment', payment)
      if (state.status !== 'observed') return
      await send(payment, { type: 'ReportDepositVanished' }, state.blockHash, timesSeen(revision))
    },
  }
}

export type Recorder = ReturnType<typeof createRecorder>

const observation = (
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
