// Prints how long 100,000 events of the golden log take to decode, with the compiled decoders of decoder.ts and with
// zod alone. The rounds of the two alternate, so that a busy machine slows both. Run it as `npx node
// domain/decoder-speed.testing.ts`.
import { z } from 'zod'
import { fromLine, linesOf } from '../testing/golden/log.ts'
import { aggregates, decodeDomainEvent } from './aggregates.ts'
import type { EventSchema } from './events.ts'

const events = 100_000
const rounds = 21

const entries = new Map(
  Object.values(aggregates).flatMap(({ schemas }) => Object.entries<EventSchema<unknown>>(schemas)),
)
const golden = linesOf('events.jsonl')
  .map(fromLine)
  .map(({ type, data, metadata }) => ({ type, version: metadata.schemaVersion, data }))
  .filter(({ type, version }) => entries.get(type)?.version === version)

const withCompiled = ({ type, version, data }: (typeof golden)[number]): unknown =>
  decodeDomainEvent({ type, version, data })

const withZod = ({ type, data }: (typeof golden)[number]): unknown => {
  const schema = entries.get(type)?.schema
  return schema && { type, ...(z.decode(schema, data) as object) }
}

const msOf = (decode: (event: (typeof golden)[number]) => unknown): number => {
  const start = performance.now()
  for (let n = 0; n < events; n += 1) {
    const event = golden[n % golden.length]
    if (event) decode(event)
  }
  return performance.now() - start
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

const measured = Array.from({ length: rounds }, () => ({ compiled: msOf(withCompiled), zod: msOf(withZod) }))
const compiled = median(measured.map((round) => round.compiled))
const zod = median(measured.map((round) => round.zod))
const ratio = (zod / compiled).toFixed(1)
console.log(`${events} events: compiled ${compiled.toFixed(0)} ms, zod ${zod.toFixed(0)} ms, ratio ${ratio}`)
