// The world of the golden story: the real commands, processes, watcher and reports on a store, a chain as plain data,
// and a clock and ids that depend on nothing but the salt. What it writes twice is the same twice.
import { createHash } from 'node:crypto'
import { type Actor, systemActor, userActor } from '../../commands/actor.ts'
import { commandIds, ids } from '../../commands/derived-ids.ts'
import {
  type Commands,
  createCommands,
  type Envelope,
  mustExecute,
  type NextCommand,
  type OutgoingCommand,
  requestEnvelope,
} from '../../commands/execute.ts'
import { derivedId } from '../../commands/ids.ts'
import { submitJob } from '../../commands/submit-job.ts'
import { type AggregateName, type CommandOf, idOf } from '../../domain/aggregates.ts'
import { Failure, isRefusal, type Refusal } from '../../domain/errors.ts'
import type { Program } from '../../domain/job.ts'
import { usdc } from '../../domain/money.testing.ts'
import type { Money } from '../../domain/money.ts'
import type { Chain, ChainCursor, CursorPlace, Deposit } from '../../infra/chain/port.ts'
import type { EventStore, Position } from '../../infra/event-store/port.ts'
import { endAndSettle } from '../../processes/end-rental.ts'
import { rentAGpu } from '../../processes/rent-a-gpu.ts'
import { runSaga } from '../../processes/saga.ts'
import { handlersOf } from '../../processes/subscriber.ts'
import type { Schedule, Timers } from '../../processes/timers.ts'
import { watchOnce } from '../../processes/watch-deposits.ts'
import { timerHandlers } from '../../roles/worker.ts'
import { createReports } from '../../scheduler/reports.ts'
import { steadyHeartbeats } from '../worlds/heartbeats.ts'
import { silentLog } from '../worlds/silent-log.ts'

/** A command as it was sent, with its sender. */
export type SentCommand = {
  readonly to: AggregateName
  readonly command: CommandOf<AggregateName>
  readonly actor: Actor
}

/** One act of the story, named by what is data: a command with its ids, or a timer with its key and payload. */
export type Act = Readonly<Record<string, unknown>>

/** What happened in a world besides its events. `timers` names the timers that were set, by the type of the event
 *  before; `acts` are the commands and timers in their order. */
export type StoryRecord = {
  readonly sent: SentCommand[]
  readonly timers: Map<string, Set<keyof Timers>>
  readonly acts: Act[]
}

type Timer = {
  readonly [Name in keyof Timers]: { readonly name: Name; readonly payload: Timers[Name] }
}[keyof Timers] & {
  readonly runAt: string
}

const offer = { gpu: 'H100 SXM', gpuCount: 2, vramMib: 81_559, vcpus: 26, memoryMib: 225_280, region: 'FR' }
const program: Program = {
  command: ['python3', 'train.py', '--epochs', '3'],
  files: [{ path: 'train.py', content: 'print("loss 0.25")\n' }],
  environment: { WANDB_PROJECT: 'résumé' },
  timeoutSeconds: 600,
  cpuCores: 4,
  memoryMib: 8_192,
}

const given = <Answer>(answer: Answer | Refusal): Answer => {
  if (isRefusal(answer)) throw new Failure(answer.refused, answer.details)
  return answer
}

/** Creates a world with a clock, a chain and timers in memory, whose commands and timers go into the record.
 *  @param salt makes all ids; @param start is the first moment (ISO 8601). */
export const createGoldenWorld = (store: EventStore, salt: string, start: string, record: StoryRecord) => {
  let time = Date.parse(start)
  const now = () => new Date(time).toISOString()
  const hex = (name: string, digits: number): `0x${string}` =>
    `0x${createHash('sha256').update(`${salt} ${name}`).digest('hex').slice(0, digits)}`

  const commandsOfStore = createCommands({ store })
  const keep = ({ to, id, command, envelope }: OutgoingCommand & { readonly envelope: Envelope }) => {
    record.sent.push({ to, command, actor: envelope.actor })
    record.acts.push({ to, id, command: command.type, ...envelope })
  }
  const commands: Commands = {
    ...commandsOfStore,
    // As if the worker were another process than the one that had the request.
    doOnce: (_, work) => work(),
    execute: (to, id, command, envelope) => {
      keep({ to, id, command, envelope } as Parameters<typeof keep>[0])
      return commandsOfStore.execute(to, id, command, envelope)
    },
    executeTogether: async (steps) => {
      const sent: Parameters<typeof keep>[0][] = []
      const noting = steps.map(
        (next, index): NextCommand =>
          (before) => {
            const command = next(before)
            if (command && command !== 'stop') sent[index] = command
            return command
          },
      )
      const answers = await commandsOfStore.executeTogether(noting)
      for (const [index, answer] of answers.entries()) if (answer && sent[index]) keep(sent[index])
      return answers
    },
  }

  const timers = new Map<string, Timer>()
  let followed: string | undefined
  const cancel = async (key: string) => {
    timers.delete(key)
  }
  const schedule: Schedule = async (name, payload, { key, runAt }) => {
    timers.set(key, { name, payload, runAt } as Timer)
    record.acts.push({ timer: name, payload, key, runAt })
    if (followed) record.timers.set(followed, (record.timers.get(followed) ?? new Set()).add(name))
  }
  const heartbeats = steadyHeartbeats()
  const handlers = timerHandlers({ commands, heartbeats, now, config: { chargePeriodSeconds: 300 } }, schedule, cancel)

  let lastSeen: Position | undefined
  /** Runs what follows from every event since the last call, as the worker does. */
  const follow = async (): Promise<void> => {
    const news = await Array.fromAsync(store.readAll(lastSeen ? { after: lastSeen } : {}))
    for (const { stream, type, revision, position } of news) {
      lastSeen = position
      followed = type
      for (const process of handlersOf(type))
        await handlers.walk({ process, id: idOf(stream), revision: String(revision) })
      followed = undefined
    }
    if (news.length > 0) await follow()
  }

  /** Moves the clock forward; timers that are due fire. */
  const pass = async (seconds: number): Promise<void> => {
    const until = time + seconds * 1000
    for (;;) {
      const due = [...timers].filter(([, { runAt }]) => Date.parse(runAt) <= until)
      const [next] = due.toSorted(([, a], [, b]) => (a.runAt < b.runAt ? -1 : 1))
      if (!next) break
      const [key, timer] = next
      timers.delete(key)
      time = Date.parse(timer.runAt)
      if (timer.name === 'meter') await handlers.meter(timer.payload)
      else if (timer.name === 'expire') await handlers.expire(timer.payload)
      else await handlers.walk(timer.payload)
      await follow()
    }
    time = until
  }

  let requests = 0
  /** Sends a command as the owner of a wallet, and runs what follows. */
  const request = async <Name extends AggregateName>(
    to: Name,
    id: string,
    command: CommandOf<Name>,
    wallet: string,
  ) => {
    const envelope = requestEnvelope(derivedId(salt, 'ask', String(requests++)), userActor(wallet), now())
    mustExecute(await commands.execute(to, id, command, envelope))
    await follow()
  }

  /** Sends a command as a part of the platform, where no saga of this story would send it. */
  const sendAs = async <Name extends AggregateName>(part: string, to: Name, id: string, command: CommandOf<Name>) => {
    const envelope = requestEnvelope(derivedId(salt, 'say', String(requests++)), systemActor(part), now())
    mustExecute(await commands.execute(to, id, command, envelope))
  }

  const blocks: Deposit[][] = []
  let final = -1
  const chain: Chain = {
    description: {
      chainId: 31_337,
      rpcUrl: 'http://localhost:8545',
      token: hex('token', 40),
      marketplace: hex('marketplace', 40),
      asset: 'USDC/6',
    },
    heights: async () => ({ head: BigInt(blocks.length - 1), final: BigInt(final) }),
    id: undefined,
    readDeposits: async ({ from, to }) => ({
      deposits: blocks.slice(Number(from), Number(to) + 1).flat(),
      to,
      hashes: new Map(blocks.map((_, height) => [BigInt(height), hex(`hash of ${height}`, 64)])),
      proved: true,
    }),
    deposits: async (from, to) => blocks.slice(Number(from), Number(to) + 1).flat(),
    blockHash: async () => undefined,
    custody: async () => undefined,
    hasSigned: async () => false,
    close: async () => undefined,
  }
  let place: CursorPlace | undefined
  const cursor: ChainCursor = {
    load: async () => place,
    save: async (saved) => {
      place = saved
    },
    loadCustody: async () => undefined,
    saveCustody: async () => undefined,
  }
  const pendingPayments = async () => [
    ...new Set((await Array.fromAsync(store.readAll({ streamPrefix: 'payment-' }))).map(({ stream }) => idOf(stream))),
  ]
  const watch = async (): Promise<void> => {
    await watchOnce({ chain, cursor, commands, pendingPayments, finalCount: async () => 0n, now })
    await follow()
  }

  return {
    now,
    pass,
    wallet: (name: string) => hex(name, 40),
    register: async (wallet: string, name: string) => {
      await request('provider', wallet, { type: 'RegisterProvider', wallet, name, registeredAt: now() }, wallet)
    },
    list: async (provider: string, pricePerGpuHour: Money) => {
      const listing = derivedId(salt, 'listing', provider)
      const listed = { type: 'ListGpus', provider, ...offer, pricePerGpuHour, listedAt: now() } as const
      await request('listing', listing, listed, provider)
      return listing
    },
    request,
    sendAs,
    /** Pays in its own block, and runs the watcher. `branch` is part of the block's hash. */
    pay: async (payer: `0x${string}`, amount: bigint, branch = 'main') => {
      const name = `deposit of ${payer}`
      const blockHash = hex(`block ${blocks.length} ${branch}`, 64)
      const identity = { depositId: hex(name, 64), transactionHash: hex(`${name} transaction`, 64), blockHash }
      const { token } = chain.description
      blocks.push([{ ...identity, payer, amount, token, blockNumber: BigInt(blocks.length), sequence: 0n }])
      await watch()
    },
    /** Replaces the last block by an empty one. */
    reorganise: async () => {
      blocks.splice(-1, 1, [])
    },
    /** Makes all blocks so far final, and runs the watcher. */
    finalize: async () => {
      final = blocks.length - 1
      await watch()
    },
    /** Requests a rental, which may be rejected, also for want of money: as if it went elsewhere after the look at the
     *  wallet, which leaves no event. Resolves to the id of the rental. */
    rent: async (renter: string, listing: string, terms: { gpuCount: number; seconds: bigint; max: bigint }) => {
      const { gpuCount, seconds } = terms
      const idempotencyKey = derivedId(salt, 'rent', String(requests++))
      const asked = { listing, gpuCount, seconds, maxPricePerGpuHour: usdc(terms.max) }
      const rental = ids.rental(renter, idempotencyKey)
      const request = { type: 'RequestRental', renter, ...asked, requestedAt: now() } as const
      const envelope = requestEnvelope(commandIds.requestRental(rental, asked), userActor(renter), now())
      mustExecute(await commands.execute('rental', rental, request, envelope))
      await runSaga({ commands, now }, rentAGpu, { id: rental, revision: 0n })
      await follow()
      return rental
    },
    giveBack: async (renter: string, rental: string) => {
      given(await endAndSettle({ commands, heartbeats, now }, rental, 'returned', userActor(renter)))
      await follow()
    },
    /** Submits a job as before rentals knew their jobs: the rental does not wait for it. */
    submit: async (renter: string, rental: string) => {
      const job = ids.job(renter, derivedId(salt, 'submit', String(requests++)))
      const [identity, submittedAt] = [{ renter, rental }, now()]
      const { first } = await commands.current('rental', rental)
      const envelope = requestEnvelope(
        commandIds.submitJob(job, { ...identity, ...program }),
        userActor(renter),
        submittedAt,
        first?.correlationId,
      )
      const command = { type: 'SubmitJob', submittedAt, ...identity, ...program } as const
      mustExecute(await commands.execute('job', job, command, envelope))
      return job
    },
    submitAdmitted: async (renter: string, rental: string, graceSeconds?: number) => {
      const idempotencyKey = derivedId(salt, 'submit', String(requests++))
      const request = { renter, rental, idempotencyKey, ...program, ...(graceSeconds && { graceSeconds }) }
      return given(await submitJob({ commands, now }, request)).job
    },
    follow,
    stopJob: (renter: string, job: string) =>
      request('job', job, { type: 'RequestStop', reason: 'asked for by the renter', requestedAt: now() }, renter),
    declareLost: (operator: string, job: string) => {
      const [reason, declaredAt] = ['The machine burnt down.', now()]
      return request('job', job, { type: 'DeclareJobLost', operator, attempt: 1, reason, declaredAt }, operator)
    },
    reports: createReports({ commands, heartbeats, now, log: silentLog }),
  }
}

export type GoldenWorld = ReturnType<typeof createGoldenWorld>
