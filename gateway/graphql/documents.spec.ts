import { afterAll, describe, expect, test } from '@jest/globals'
import { type DocumentNode, type GraphQLError, type GraphQLSchema, parse } from 'graphql'
import { Registry } from 'prom-client'
import { silentLog } from '../../testing/worlds/silent-log.ts'
import { worstDocuments } from '../../testing/worst-documents.ts'
import { createGatewayMetrics } from '../metrics.ts'
import { createGraphQL } from '../yoga.ts'
import { costOf } from './cost.ts'
import { createDocumentCaches } from './documents.ts'

type Enveloped = {
  readonly schema: GraphQLSchema
  readonly parse: (text: string) => DocumentNode
  readonly validate: (schema: GraphQLSchema, document: DocumentNode) => readonly GraphQLError[]
}

const closing = new AbortController()
afterAll(() => closing.abort())
const { yoga } = createGraphQL({
  // Nothing is executed here.
  services: { privileged: {} } as never,
  signIn: {} as never,
  closing: closing.signal,
  log: silentLog,
  metrics: createGatewayMetrics(new Registry()),
})

/** Does what the gateway does before it executes. Returns the CPU time that this thread took, in milliseconds. */
const prepareMs = (text: string): number => {
  const before = process.threadCpuUsage()
  const { schema, parse, validate } = yoga.getEnveloped({ params: {} } as never) as unknown as Enveloped
  try {
    const document = parse(text)
    if (validate(schema, document).length === 0) costOf({ schema, document })
  } catch {
    // Refused.
  }
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1_000
}

const prepareMsMax = 100

test.each(Object.entries(worstDocuments))('a document of the worst kind is a short piece of work: %s', (_, make) => {
  const taken = Array.from({ length: 5 }, (_, index) => prepareMs(make(`q${index}`)))
  expect(Math.min(...taken)).toBeLessThan(prepareMsMax)
})

describe('a parsed document', () => {
  const { documentCache } = createDocumentCaches()
  const keep = (text: string) => {
    documentCache.set(text, parse(text))
    return documentCache.get(text) !== undefined
  }

  test('is kept from the second time on', () => {
    const again = ['{ head }', '{ head } # again']
    expect(again.map(keep)).toEqual([false, false])
    expect(again.map(keep)).toEqual([true, true])
  })

  test('of many different ones is not', () => {
    for (const make of Object.values(worstDocuments).slice(0, 6))
      for (let index = 0; index < 20; index += 1) expect(keep(make(`once${index}`))).toBe(false)
  })
})
