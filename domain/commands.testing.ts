// Random commands for the specs of all aggregates together: deciders.spec.ts and lifecycle.spec.ts.
import fc from 'fast-check'
import type { AggregateName, CommandOf } from './aggregates.ts'
import type { ErrorCode } from './errors.ts'
import { attemptsMax } from './job.ts'
import type { Asset, Money } from './money.ts'
import type { EndReason } from './rental.ts'

// JSON is parsed to plain objects, so no other kind is sent.
const record = <T>(model: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true })
// Mostly values that can be accepted, or no sequence would get far.
const mostly = <T>(usual: fc.Arbitrary<T>, seldom: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ arbitrary: usual, weight: 9 }, { arbitrary: seldom, weight: 1 })
const asset = mostly<Asset>(fc.constant('USDC/6'), fc.constant('USD/2'))
const amount: fc.Arbitrary<Money> = record({ amount: mostly(fc.bigInt(1n, 8n), fc.bigInt(-1n, 0n)), asset })
const price: fc.Arbitrary<Money> = record({
  amount: mostly(fc.constantFrom(900n, 3600n), fc.bigInt(-1n, 9000n)),
  asset,
})
const rental = fc.constantFrom('rental-1', 'rental-2', 'rental-3')
const user = fc.constant('ada')
const at = fc.constantFrom('2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.000Z', '2026-01-01T00:00:02.000Z')
const code: fc.Arbitrary<ErrorCode> = fc.constantFrom('LISTING_FULL', 'JOB_EXIT_NONZERO')
const gpuCount = mostly(fc.integer({ min: 1, max: 4 }), fc.integer({ min: -1, max: 0 }))
const seconds = mostly(fc.bigInt(1n, 5n), fc.bigInt(-1n, 9n))
const text = fc.string({ maxLength: 10 })
const attempt = mostly(fc.constantFrom(1, 1, 2, 3), fc.constantFrom(0, attemptsMax + 1))
const percent = mostly(fc.constantFrom(0, 12.5, 50, 100), fc.constantFrom(-1, 101, Number.NaN))
const reason = fc.constantFrom<EndReason>('returned', 'expired')
const line = record({
  firstEventId: user,
  lastEventId: user,
  periods: fc.nat({ max: 3 }),
  description: text,
  seconds,
  amount: record({ amount: fc.bigInt(0n, 4n), asset }),
})
const is = <Type extends string>(type: Type): fc.Arbitrary<Type> => fc.constant(type)
const often = <T>(weight: number, arbitrary: fc.Arbitrary<T>) => ({ arbitrary, weight })

type CommandsOf<Name extends AggregateName> = {
  readonly [Type in CommandOf<Name>['type']]: fc.WeightedArbitrary<Extract<CommandOf<Name>, { type: Type }>>
}

/** Any command of each type, made of few ids and small amounts, so that commands often concern the same thing. The
 *  weights make long sequences likely. Leaving out a command does not compile. */
export const commandsOf: { readonly [Name in AggregateName]: CommandsOf<Name> } = {
  account: {
    CreditDeposit: often(1, record({ type: is('CreditDeposit'), user, payment: text.filter(Boolean), amount })),
    HoldFunds: often(3, record({ type: is('HoldFunds'), user, rental, amount, at, notAfter: at })),
    CaptureHold: often(2, record({ type: is('CaptureHold'), rental, charge: amount })),
    ReleaseHold: often(1, record({ type: is('ReleaseHold'), rental })),
    CreditEarnings: often(1, record({ type: is('CreditEarnings'), user, rental, amount })),
  },
  job: {
    SubmitJob: often(
      4,
      record({
        type: is('SubmitJob'),
        rental,
        renter: user,
        submittedAt: at,
        command: mostly<string[]>(fc.constant(['node', 'train.js']), fc.array(text, { maxLength: 2 })),
        files: fc.array(record({ path: mostly(fc.constant('a'), fc.constant('../b')), content: text }), {
          maxLength: 1,
        }),
        environment: fc.constant({}),
        timeoutSeconds: mostly(fc.constant(60), fc.constant(0)),
        cpuCores: mostly(fc.constant(1), fc.constant(0)),
        memoryMib: mostly(fc.constant(512), fc.constant(0)),
        graceSeconds: mostly(fc.constantFrom(undefined, 0, 300), fc.constantFrom(-1, 301, Number.NaN)),
      }),
    ),
    StartJob: often(6, record({ type: is('StartJob'), attempt, cluster: text, startedAt: at })),
    InterruptJob: often(4, record({ type: is('InterruptJob'), attempt, reason: text, interruptedAt: at })),
    ReportProgress: often(4, record({ type: is('ReportProgress'), attempt, percent, message: text, reportedAt: at })),
    CompleteJob: often(1, record({ type: is('CompleteJob'), attempt, endedAt: at })),
    FailJob: often(1, record({ type: is('FailJob'), attempt, code, message: text, endedAt: at })),
    RequestStop: often(1, record({ type: is('RequestStop'), reason: text, requestedAt: at })),
    ConfirmStop: often(
      1,
      record({ type: is('ConfirmStop'), attempt, reason: fc.option(text, { nil: undefined }), endedAt: at }),
    ),
  },
  listing: {
    ListGpus: often(
      3,
      record({
        type: is('ListGpus'),
        provider: user,
        gpu: text,
        gpuCount,
        vramMib: fc.nat(),
        vcpus: fc.nat(),
        memoryMib: fc.nat(),
        region: text,
        pricePerGpuHour: amount,
        listedAt: at,
      }),
    ),
    ChangePrice: often(3, record({ type: is('ChangePrice'), pricePerGpuHour: amount })),
    ReserveCapacity: often(
      16,
      record({ type: is('ReserveCapacity'), rental, gpuCount, maxPricePerGpuHour: amount, at, notAfter: at }),
    ),
    FreeCapacity: often(6, record({ type: is('FreeCapacity'), rental })),
    WithdrawListing: often(1, record({ type: is('WithdrawListing') })),
  },
  payment: {
    ObserveDeposit: often(
      3,
      record({
        type: is('ObserveDeposit'),
        payment: rental,
        user,
        amount,
        chainId: fc.nat(),
        transactionHash: fc.constant('0xdead'),
        blockNumber: fc.bigInt(0n, 9n),
        blockHash: fc.constantFrom('0xb1', '0xb2'),
      }),
    ),
    FinalizeDeposit: often(1, record({ type: is('FinalizeDeposit') })),
    ReportDepositVanished: often(3, record({ type: is('ReportDepositVanished') })),
  },
  provider: {
    RegisterProvider: often(1, record({ type: is('RegisterProvider'), wallet: user, name: text, registeredAt: at })),
    RenameProvider: often(
      1,
      record({ type: is('RenameProvider'), name: fc.constantFrom('', ' Grace ', 'Ada', 'x'.repeat(101)) }),
    ),
  },
  rental: {
    RequestRental: often(
      4,
      record({
        type: is('RequestRental'),
        listing: user,
        renter: user,
        gpuCount,
        seconds,
        maxPricePerGpuHour: price,
        requestedAt: at,
      }),
    ),
    ActivateRental: often(
      8,
      record({
        type: is('ActivateRental'),
        held: amount,
        provider: user,
        gpu: text,
        pricePerGpuHour: price,
        startedAt: at,
        endsAt: at,
        notAfter: at,
      }),
    ),
    MeterRental: often(6, record({ type: is('MeterRental'), runSeconds: seconds, meteredAt: at })),
    AdmitJob: often(3, record({ type: is('AdmitJob'), job: rental, graceSeconds: fc.nat({ max: 3 }), admittedAt: at })),
    CloseJob: often(6, record({ type: is('CloseJob'), job: rental, closedAt: at })),
    CompleteEnd: often(6, record({ type: is('CompleteEnd'), runSeconds: seconds })),
    EndRental: often(3, record({ type: is('EndRental'), reason, runSeconds: seconds, endedAt: at })),
    IssueInvoice: often(
      12,
      record({ type: is('IssueInvoice'), lines: fc.array(line, { maxLength: 2 }), released: amount, issuedAt: at }),
    ),
    RejectRental: often(1, record({ type: is('RejectRental'), code, rejectedAt: at })),
  },
}

/** Returns an arbitrary of all commands of one aggregate. */
export const anyCommand = <Name extends AggregateName>(name: Name): fc.Arbitrary<CommandOf<Name>> =>
  fc.oneof(...Object.values<fc.WeightedArbitrary<CommandOf<Name>>>(commandsOf[name]))
