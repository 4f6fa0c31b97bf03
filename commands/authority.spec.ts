import { describe, expect, test } from '@jest/globals'
import { type AggregateName, aggregates, type CommandOf, type EventOf, type StateOf } from '../domain/aggregates.ts'
import { refuse } from '../domain/errors.ts'
import { money } from '../domain/money.ts'
import { systemActor, userActor } from './actor.ts'
import { refuseStranger } from './authority.ts'

const at = '2026-01-01T00:00:00.000Z'
const usdc = money(1n, 'USDC/6')
const sighting = { chainId: 1, transactionHash: 'tx', blockNumber: 1n, blockHash: 'block' }
const offer = {
  provider: 'ada',
  gpu: 'H100',
  gpuCount: 1,
  vramMib: 1,
  vcpus: 1,
  memoryMib: 1,
  region: 'FR',
  pricePerGpuHour: usdc,
}
const terms = { listing: 'l', renter: 'ada', gpuCount: 1, seconds: 1n, maxPricePerGpuHour: usdc, requestedAt: at }
const lease = { provider: 'paula', gpu: 'H100', pricePerGpuHour: usdc, held: usdc, startedAt: at, endsAt: at }
const program = { command: ['true'], files: [], environment: {}, timeoutSeconds: 1, cpuCores: 1, memoryMib: 1 }
const job = { rental: 'r', renter: 'ada', submittedAt: at, ...program }

const folded = <Name extends AggregateName>(name: Name, ...events: EventOf<Name>[]): StateOf<Name> => {
  const { initial, evolve } = aggregates[name] as unknown as {
    initial: StateOf<Name>
    evolve: (state: StateOf<Name>, event: EventOf<Name>) => StateOf<Name>
  }
  return events.reduce(evolve, initial)
}

/** What is there already belongs to ada. */
const owned: { readonly [Name in AggregateName]: StateOf<Name> } = {
  account: folded('account', {
    type: 'DepositCredited',
    user: 'ada',
    payment: 'p',
    posting: { debit: 'a', credit: 'b', amount: usdc },
  }),
  payment: folded('payment', { type: 'DepositObserved', payment: 'p', user: 'ada', amount: usdc, ...sighting }),
  provider: folded('provider', { type: 'ProviderRegistered', wallet: 'ada', name: 'Ada', registeredAt: at }),
  listing: folded('listing', { type: 'GpusListed', listedAt: at, ...offer }),
  rental: folded('rental', { type: 'RentalRequested', ...terms }, { type: 'RentalActivated', ...lease }),
  job: folded('job', { type: 'JobSubmitted', ...job }),
}

/** `named`: the wallet that the command names. `owner`: the wallet that what is there belongs to. `platform`: no
 *  wallet. */
type Who = 'named' | 'owner' | 'platform'
type Rules<Name extends AggregateName> = {
  readonly [Type in CommandOf<Name>['type']]: readonly [
    Who,
    Omit<Extract<CommandOf<Name>, { readonly type: Type }>, 'type'>,
  ]
}

/** A row for every command there is: leaving one out does not compile. */
const rules: { readonly [Name in AggregateName]: Rules<Name> } = {
  account: {
    CreditDeposit: ['platform', { user: 'ada', payment: 'p', amount: usdc }],
    HoldFunds: ['platform', { user: 'ada', rental: 'r', amount: usdc, at, notAfter: at }],
    CaptureHold: ['platform', { rental: 'r', charge: usdc }],
    ReleaseHold: ['platform', { rental: 'r' }],
    CreditEarnings: ['platform', { user: 'ada', rental: 'r', amount: usdc }],
  },
  payment: {
    ObserveDeposit: ['platform', { payment: 'p', user: 'ada', amount: usdc, ...sighting }],
    FinalizeDeposit: ['platform', {}],
    ReportDepositVanished: ['platform', {}],
  },
  provider: {
    RegisterProvider: ['named', { wallet: 'ada', name: 'Ada', registeredAt: at }],
    RenameProvider: ['owner', { name: 'Ada' }],
  },
  listing: {
    ListGpus: ['named', { listedAt: at, ...offer }],
    ChangePrice: ['owner', { pricePerGpuHour: usdc }],
    WithdrawListing: ['owner', {}],
    ReserveCapacity: ['platform', { rental: 'r', gpuCount: 1, maxPricePerGpuHour: usdc, at, notAfter: at }],
    FreeCapacity: ['platform', { rental: 'r' }],
  },
  rental: {
    RequestRental: ['named', terms],
    ActivateRental: ['platform', lease],
    RejectRental: ['platform', { code: 'LISTING_FULL', rejectedAt: at }],
    MeterRental: ['platform', { runSeconds: 1n, meteredAt: at }],
    EndRental: ['owner', { reason: 'returned', runSeconds: 1n, endedAt: at }],
    AdmitJob: ['owner', { job: 'j', graceSeconds: 30, admittedAt: at }],
    CloseJob: ['platform', { job: 'j', closedAt: at }],
    CompleteEnd: ['platform', { runSeconds: 1n }],
    IssueInvoice: ['platform', { lines: [], released: usdc, issuedAt: at }],
  },
  job: {
    SubmitJob: ['named', job],
    StartJob: ['platform', { attempt: 1, cluster: 'c', startedAt: at }],
    ReportProgress: ['platform', { attempt: 1, percent: 1, message: '', reportedAt: at }],
    CompleteJob: ['platform', { attempt: 1, endedAt: at }],
    FailJob: ['platform', { attempt: 1, code: 'JOB_TIMED_OUT', message: '', endedAt: at }],
    InterruptJob: ['platform', { attempt: 1, reason: '', interruptedAt: at }],
    RequestStop: ['owner', { reason: '', requestedAt: at }],
    ConfirmStop: ['platform', { attempt: 1, endedAt: at }],
    DeclareJobLost: ['named', { operator: 'ada', attempt: 1, reason: '', declaredAt: at }],
  },
}

const rows = Object.entries(rules).flatMap(([name, ofAggregate]) =>
  Object.entries(ofAggregate).map(([type, [who, fields]]) => ({
    name: name as AggregateName,
    who,
    command: { type, ...(fields as object) } as CommandOf<AggregateName>,
  })),
)

describe.each(rows)('$command.type may be sent by: $who', ({ name, who, command }) => {
  const ask = (actor: ReturnType<typeof userActor>, state: StateOf<AggregateName>) =>
    refuseStranger(name, actor, command, state as never)
  const nothing = aggregates[name].initial

  test('the owner', () => {
    const expected = who === 'platform' ? refuse('NOT_YOURS') : undefined
    expect(ask(userActor('ada'), owned[name])).toEqual(expected)
  })

  test('the owner, when nothing is there yet', () => {
    const expected = who === 'named' ? undefined : refuse('NOT_YOURS')
    expect(ask(userActor('ada'), nothing)).toEqual(expected)
  })

  test('a stranger: never', () => {
    for (const state of [owned[name], nothing])
      for (const wallet of ['mallory', 'paula', '', 'ADA', 'system:test', 'undefined'])
        expect(ask(userActor(wallet), state)).toEqual(refuse('NOT_YOURS'))
  })

  test('the platform: always', () => {
    for (const state of [owned[name], nothing]) expect(ask(systemActor('test'), state)).toBeUndefined()
  })
})
