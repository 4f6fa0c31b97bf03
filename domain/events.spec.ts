import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { z } from 'zod'
import { aggregates, type DomainEvent, decodeDomainEvent, idOf, streamOf } from './aggregates.ts'
import { type ErrorCode, errors, Failure } from './errors.ts'
import { decodeEvent, type EncodedEvent, type EventSchemas, encodeEvent, field } from './events.ts'
import { assets, type Money } from './money.ts'

type Type = DomainEvent['type']
type Fields<T extends Type> = Omit<Extract<DomainEvent, { type: T }>, 'type'>

// JSON gives plain objects back, so no other kind is written here.
const record = <T>(model: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true })
const id = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const count = fc.nat()
const integer = fc.bigInt(-(10n ** 40n), 10n ** 40n)
const time = fc
  .date({ min: new Date('1970-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  .map((date) => date.toISOString())
const money: fc.Arbitrary<Money> = record({ amount: integer, asset: fc.constantFrom(...assets) })
const posting = record({ debit: id, credit: id, amount: money })
const code = fc.constantFrom(...(Object.keys(errors) as ErrorCode[]))
const attempt = fc.nat({ max: 3 })
// A key "__proto__" would set a prototype instead of a variable; zod drops it.
const name = fc.string({ minLength: 1 }).filter((key) => key !== '__proto__')

/** Any fields of each event type: leaving a type or a field out does not compile. */
const fields: { readonly [T in Type]: fc.Arbitrary<Fields<T>> } = {
  DepositCredited: record({ user: id, payment: id, posting }),
  FundsHeld: record({ user: id, rental: id, posting }),
  HoldRefused: record({ user: id, rental: id, amount: money, code }),
  HoldCaptured: record({ rental: id, posting }),
  HoldReleased: record({ rental: id, posting }),
  EarningsCredited: record({ user: id, rental: id, posting }),
  JobSubmitted: record({
    rental: id,
    renter: id,
    command: fc.array(text),
    files: fc.array(record({ path: text, content: text })),
    environment: fc.dictionary(name, text, { noNullPrototype: true }),
    timeoutSeconds: count,
    cpuCores: count,
    memoryMib: count,
    graceSeconds: count,
    submittedAt: time,
  }),
  JobStarted: record({ attempt, cluster: text, startedAt: time }),
  JobProgressed: record({
    attempt,
    percent: fc.double({ min: 0, max: 100, noNaN: true }),
    message: text,
    reportedAt: time,
  }),
  JobSucceeded: record({ attempt, endedAt: time }),
  JobFailed: record({ attempt, code, message: text, endedAt: time }),
  JobInterrupted: record({ attempt, reason: text, interruptedAt: time }),
  JobStopRequested: record({ reason: text, requestedAt: time }),
  JobStopped: record({ attempt, endedAt: time }),
  GpusListed: record({
    provider: id,
    gpu: text,
    gpuCount: count,
    vramMib: count,
    vcpus: count,
    memoryMib: count,
    region: text,
    pricePerGpuHour: money,
    listedAt: time,
  }),
  PriceChanged: record({ pricePerGpuHour: money }),
  ListingWithdrawn: record({}),
  CapacityReserved: record({ rental: id, gpuCount: count, provider: id, gpu: text, pricePerGpuHour: money }),
  CapacityRefused: record({ rental: id, code }),
  CapacityFreed: record({ rental: id, gpuCount: count }),
  DepositObserved: record({
    payment: id,
    user: id,
    amount: money,
    chainId: count,
    transactionHash: id,
    blockNumber: integer,
    blockHash: id,
  }),
  DepositFinalized: record({ user: id, posting }),
  DepositVanished: record({}),
  ProviderRegistered: record({ wallet: id, name: text, registeredAt: time }),
  ProviderRenamed: record({ name: text }),
  RentalRequested: record({
    listing: id,
    renter: id,
    gpuCount: count,
    seconds: integer,
    maxPricePerGpuHour: money,
    requestedAt: time,
  }),
  RentalActivated: record({
    provider: id,
    gpu: text,
    pricePerGpuHour: money,
    held: money,
    startedAt: time,
    endsAt: time,
  }),
  RentalRejected: record({ code, rejectedAt: time }),
  UsageMetered: record({ runSeconds: integer, fee: money, total: money, meteredAt: time }),
  RentalJobAdmitted: record({ job: id, graceSeconds: count, admittedAt: time }),
  RentalJobClosed: record({ job: id, closedAt: time }),
  RentalEndRequested: record({ reason: fc.constantFrom('returned', 'expired'), requestedAt: time, billedUntil: time }),
  RentalEnded: record({
    reason: fc.constantFrom('returned', 'expired'),
    runSeconds: integer,
    charged: money,
    endedAt: time,
  }),
  InvoiceIssued: record({
    lines: fc.array(
      record({ firstEventId: id, lastEventId: id, periods: count, description: text, seconds: integer, amount: money }),
    ),
    total: money,
    released: money,
    issuedAt: time,
  }),
}

const types = Object.keys(fields) as Type[]
const throughJson = (encoded: EncodedEvent): EncodedEvent => JSON.parse(JSON.stringify(encoded))
const codeOf = (read: () => unknown): ErrorCode | 'nothing thrown' => {
  try {
    read()
  } catch (error) {
    if (error instanceof Failure) return error.code
    throw error
  }
  return 'nothing thrown'
}

describe('every event type of the platform', () => {
  const stored = Object.values(aggregates).flatMap(({ schemas }) => Object.entries(schemas))
  test('has a name that no other aggregate uses, and examples here', () =>
    expect(stored.map(([type]) => type).toSorted()).toStrictEqual(types.toSorted()))
  test.each(stored)('%s has a version, and an upcast from each older one', (_, { version, upcasts }) => {
    expect(Number.isInteger(version) && version >= 1).toBe(true)
    const older = Array.from({ length: version - 1 }, (_, index) => String(index + 1))
    expect(Object.keys(upcasts ?? {})).toStrictEqual(older)
  })
  test.each(types)('%s is read back from JSON as it was written', (type) => {
    const schemas = Object.values(aggregates).find((aggregate) => type in aggregate.schemas)?.schemas ?? {}
    const anyFields: fc.Arbitrary<object> = fields[type]
    fc.assert(
      fc.property(anyFields, (some) => {
        const event = { type, ...some }
        const decoded: unknown = decodeDomainEvent(throughJson(encodeEvent(schemas, event)))
        expect(decoded).toStrictEqual(event)
      }),
      { numRuns: 30 },
    )
  })
})

// A price that was cents in dollars, then text with an asset, then money.
type PriceSet = { readonly type: 'PriceSet'; readonly price: Money }
const schemas: EventSchemas<PriceSet> = {
  PriceSet: {
    version: 3,
    schema: z.object({ price: field.money }),
    upcasts: {
      1: ({ cents }) => ({ amount: String(cents), asset: 'USD/2' }),
      2: ({ amount, asset }) => ({ price: { amount, asset } }),
    },
  },
}
const priceSet = (amount: bigint): PriceSet => ({ type: 'PriceSet', price: { amount, asset: 'USD/2' } })
const stored = (version: number, data: unknown): EncodedEvent => ({ type: 'PriceSet', version, data })

describe('writing', () => {
  test('is JSON under the current version, whole numbers as text', () =>
    expect(encodeEvent(schemas, priceSet(10n ** 20n))).toStrictEqual(
      stored(3, { price: { amount: '100000000000000000000', asset: 'USD/2' } }),
    ))
  test.each(['Unheard', 'constructor'])('refuses the type %s, which has no schema', (type) =>
    expect(codeOf(() => encodeEvent(schemas, { type }))).toBe('EVENT_INVALID'),
  )
  test.each([
    ['a missing field', { type: 'JobStarted', attempt: 1, cluster: 'here' }],
    ['a negative count', { type: 'JobStarted', attempt: -1, cluster: 'here', startedAt: '2026-01-01T00:00:00.000Z' }],
    ['a fraction for a count', { type: 'JobSucceeded', attempt: 0.5, endedAt: '2026-01-01T00:00:00.000Z' }],
    ['a time without a zone', { type: 'JobSucceeded', attempt: 1, endedAt: '2026-01-01T00:00:00' }],
    [
      'an unregistered code',
      { type: 'JobFailed', attempt: 1, code: 'OOPS', message: '', endedAt: '2026-01-01T00:00:00Z' },
    ],
  ])('refuses %s', (_, event) => expect(codeOf(() => encodeEvent(aggregates.job.schemas, event))).toBe('EVENT_INVALID'))
})

describe('reading', () => {
  test.each([
    stored(1, { cents: 265 }),
    stored(2, { amount: '265', asset: 'USD/2' }),
    stored(3, { price: { amount: '265', asset: 'USD/2' } }),
  ])('gives version $version the current shape', (encoded) =>
    expect(decodeEvent(schemas, encoded)).toStrictEqual(priceSet(265n)),
  )
  test('leaves what is stored as it was', () => {
    const data = Object.freeze({ cents: 265 })
    decodeEvent(schemas, stored(1, data))
    expect(data).toStrictEqual({ cents: 265 })
  })
  const price = { amount: '265', asset: 'USD/2' }
  test.each<[string, EncodedEvent]>([
    ['a version newer than this program', stored(4, { price })],
    ['a version before the first', stored(0, { price })],
    ['an unknown type', { ...stored(3, { price }), type: 'Unheard' }],
    ['a type that every object inherits', { ...stored(3, { price }), type: 'constructor' }],
    ['no data', stored(3, null)],
    ['no data where an upcast needs some', stored(1, null)],
    ['a missing field', stored(3, {})],
    ['an amount that is no number', stored(3, { price: { ...price, amount: '2.65' } })],
    ['an amount that is a JSON number', stored(3, { price: { ...price, amount: 265 } })],
    ['an unknown asset', stored(3, { price: { ...price, asset: 'DOGE/8' } })],
    ['an old version that was broken', stored(2, { asset: 'USD/2' })],
  ])('does not read %s', (_, encoded) => expect(codeOf(() => decodeEvent(schemas, encoded))).toBe('EVENT_UNREADABLE'))
  test('does not read a version whose upcast is missing, and names it', () => {
    const gap: EventSchemas<PriceSet> = {
      PriceSet: { ...schemas.PriceSet, upcasts: { 1: ({ cents }) => ({ amount: String(cents), asset: 'USD/2' }) } },
    }
    const bare: EventSchemas<PriceSet> = { PriceSet: { version: 3, schema: schemas.PriceSet.schema } }
    expect(() => decodeEvent(gap, stored(1, { cents: 1 }))).toThrow('no upcast from version 2')
    expect(() => decodeEvent(bare, stored(1, { cents: 1 }))).toThrow('no upcast from version 1')
  })
  test.each(['Unheard', 'constructor'])('does not read %s, which no aggregate has', (type) =>
    expect(codeOf(() => decodeDomainEvent({ type, version: 1, data: {} }))).toBe('EVENT_UNREADABLE'),
  )
})

test('a stream is named by its aggregate and its id, which may hold dashes', () => {
  expect(streamOf('rental', 'a-b')).toBe('rental-a-b')
  expect(idOf('rental-a-b')).toBe('a-b')
})
