import type { AppendToManyOutcome, ExpectedRevision } from '../port.ts'
import type { CheckedAppend, CheckedEvent } from '../validation.ts'
import { bigintArray, intArray, jsonArray, textArray, uuidArray } from './binary-array.ts'
import type { KnownInPostgres } from './known.ts'

/** One call of `append` or `appendToMany`: its appends are stored all or nothing, and its caller awaits their
 *  outcome. `keys` are its streams and event ids: no other request may use them at the same time. */
export type AppendRequest = {
  readonly appends: readonly CheckedAppend[]
  readonly keys: readonly string[]
  readonly events: number
  readonly characters: number
  readonly resolve: (outcome: AppendToManyOutcome) => void
  readonly reject: (error: unknown) => void
}

/** The result of one append in a batch. `position` is undefined when nothing is stored. */
export type Verdict = { readonly verdict: string; readonly revision: bigint; readonly position: bigint | undefined }

/** Returns what a revision is in the functions of the schema: -1 no stream, -2 stream exists, -3 any. */
export const expectedCode = (expected: ExpectedRevision): bigint => {
  switch (expected) {
    case 'no stream':
      return -1n
    case 'stream exists':
      return -2n
    case 'any':
      return -3n
    default:
      return expected
  }
}

/** Returns whether all of them name a revision. */
export const areExpected = (requests: readonly AppendRequest[]): boolean =>
  requests.every(({ appends }) =>
    appends.every(({ expected }) => typeof expected === 'bigint' || expected === 'no stream'),
  )

/** Returns the bind variables of log.append_expected. `isThere` is whether a stream is known to have a revision. */
export const valuesExpected = (
  requests: readonly AppendRequest[],
  known: KnownInPostgres,
  isThere: (stream: string, revision: bigint) => boolean,
): unknown[] => {
  const streams: string[] = []
  const expecteds: bigint[] = []
  const streamOfEvent: string[] = []
  const revisions: bigint[] = []
  const events: CheckedEvent[] = []
  for (const { appends } of requests)
    for (const append of appends) {
      const { stream } = append
      let revision = expectedCode(append.expected)
      if (revision >= 0n && !isThere(stream, revision)) {
        streams.push(stream)
        expecteds.push(revision)
      }
      for (const event of append.events) {
        revision += 1n
        streamOfEvent.push(stream)
        revisions.push(revision)
        events.push(event)
      }
    }
  return [
    textArray(streams),
    bigintArray(expecteds),
    textArray(streamOfEvent),
    bigintArray(revisions),
    uuidArray(events.map(({ id }) => id)),
    textArray(events.map(({ type }) => type)),
    jsonArray(events.map(({ data }) => data)),
    jsonArray(events.map(({ metadata }) => metadata)),
    ...known.values(),
  ]
}

/** Returns the bind variables of log.append_batch. Its `unit_of` is the request of each append. */
export const valuesOf = (requests: readonly AppendRequest[]): unknown[] => {
  const appends: CheckedAppend[] = []
  const requestOf: number[] = []
  const firstOf = [1]
  const appendOf: number[] = []
  const events: CheckedEvent[] = []
  for (const [index, request] of requests.entries())
    for (const append of request.appends) {
      appends.push(append)
      requestOf.push(index + 1)
      for (const event of append.events) {
        events.push(event)
        appendOf.push(appends.length)
      }
      firstOf.push(events.length + 1)
    }
  return [
    textArray(appends.map(({ stream }) => stream)),
    bigintArray(appends.map(({ expected }) => expectedCode(expected))),
    intArray(requestOf),
    intArray(firstOf),
    intArray(appendOf),
    uuidArray(events.map(({ id }) => id)),
    textArray(events.map(({ type }) => type)),
    jsonArray(events.map(({ data }) => data)),
    jsonArray(events.map(({ metadata }) => metadata)),
  ]
}

/** Parses the result of log.append_batch: a line for each append. */
export const parseVerdicts = (result: string): Verdict[] =>
  result.split('\n').map((line) => {
    const [verdict = '', revision = '', position = ''] = line.split(':')
    return { verdict, revision: BigInt(revision), position: position === '' ? undefined : BigInt(position) }
  })
