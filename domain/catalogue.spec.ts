import { describe, expect, test } from '@jest/globals'
import { z } from 'zod'
import { fromLine, linesOf } from '../testing/golden/log.ts'
import { type AggregateName, aggregates, idOf } from './aggregates.ts'
import {
  personalFieldsOf,
  personalMetadata,
  personalStreams,
  type StoredShape,
  shapeOf,
  withoutPersonalFields,
} from './catalogue.ts'
import { type EventSchema, field } from './events.ts'

const entries = Object.values(aggregates).flatMap(({ schemas }) => Object.entries<EventSchema<unknown>>(schemas))
const golden = linesOf('events.jsonl').map(fromLine)

describe('every event type', () => {
  test.each(entries)('%s has a sentence that describes it, and so does each of its fields', (_, entry) => {
    const sentence = /^[A-Z].*\.$/
    const { description, properties = {} } = shapeOf(entry)
    expect(description).toMatch(sentence)
    for (const shape of Object.values(properties)) expect(shape.description).toMatch(sentence)
  })
  test.each(entries)('%s has a unit for each of its numbers and times', (_, entry) => {
    const bare = (shape: StoredShape, path: string): string[] => [
      ...((shape.type === 'integer' || shape.type === 'number' || /d\+|Z\$/.test(shape.pattern ?? '')) && !shape.unit
        ? [path]
        : []),
      ...Object.entries(shape.properties ?? {}).flatMap(([name, child]) => bare(child, `${path}.${name}`)),
      ...(shape.items ? bare(shape.items, `${path}[]`) : []),
    ]
    expect(bare(shapeOf(entry), '')).toEqual([])
  })
})

describe('what is personal', () => {
  test('is listed by path', () => {
    expect(personalFieldsOf('EarningsCredited')).toEqual(['user', 'posting.debit', 'posting.credit'])
    expect(personalFieldsOf('JobSubmitted')).toEqual(['renter', 'command', 'files', 'environment'])
    expect(personalFieldsOf('ProviderRenamed')).toEqual(['name'])
    expect(personalFieldsOf('InvoiceIssued')).toEqual([])
  })
  test('is left out, and nothing else', () => {
    const posting = { debit: 'a', credit: 'b', amount: { amount: '1', asset: 'USDC/6' } }
    expect(withoutPersonalFields('EarningsCredited', { user: '0x1', rental: 'r', posting })).toEqual({
      rental: 'r',
      posting: { amount: posting.amount },
    })
    const invoice = golden.findLast(({ type }) => type === 'InvoiceIssued')
    expect(withoutPersonalFields('InvoiceIssued', invoice?.data)).toEqual(invoice?.data)
    expect(withoutPersonalFields('Unheard', { anything: 1 })).toEqual({})
  })
  test('is found within lists', () => {
    const schema = z.object({ lines: z.array(z.object({ payer: field.wallet, seconds: field.seconds })) })
    const payer = shapeOf({ version: 1, schema }).properties?.lines?.items?.properties?.payer
    expect(payer).toMatchObject({ personal: true, unit: 'wallet address, lower case' })
  })

  // Whatever names a person in the golden log must be gone: wallets (also within accounts of the chart), the deposits
  // and transactions that the chain shows beside them, and what people wrote.
  const people = new Set(
    golden.flatMap(({ type, data, stream }) => [
      ...(JSON.stringify(data).match(/0x[0-9a-f]{40}\b/g) ?? []),
      ...(type === 'DepositObserved' ? [(data as { transactionHash: string }).transactionHash, idOf(stream)] : []),
    ]),
  )
  const namesPerson = (text: string) =>
    [...people, 'Nébuleuse', 'train.py', 'résumé', 'naïve'].filter((name) => text.includes(name))
  test('names no person when it is left out of the golden log', () => {
    expect(people.size).toBeGreaterThan(15)
    expect(
      golden
        .map(({ type, data }) => [type, namesPerson(JSON.stringify(withoutPersonalFields(type, data)))] as const)
        .filter(([, names]) => names.length > 0),
    ).toEqual([])
  })
  test('is in the names of these streams', () => {
    const named = golden.filter(({ stream }) => namesPerson(stream).length > 0)
    const aggregateOf = ({ stream }: { readonly stream: string }) =>
      stream.slice(0, stream.indexOf('-')) as AggregateName
    expect([...new Set(named.map(aggregateOf))].toSorted()).toEqual([...personalStreams])
  })
  test('is in this metadata', () => {
    const shown = golden.flatMap(({ metadata }) =>
      Object.entries(metadata).flatMap(([name, value]) => (namesPerson(String(value)).length > 0 ? [name] : [])),
    )
    expect([...new Set(shown)]).toEqual([...personalMetadata])
  })
})
