/** A program that gives the worst texts to each reader of files, settings, cursors, times and output, and prints the CPU
 *  time of each as a line of JSON. */

import { parseBoundary } from '../../cli/history.ts'
import { schemaNameOf } from '../../cli/replay.testing.ts'
import { readOffers } from '../../commands/offers.ts'
import { eventSchemas } from '../../domain/aggregates.ts'
import { encodeNewEvent } from '../../domain/events.ts'
import { assets, parseAmount } from '../../domain/money.ts'
import { isStorable } from '../../domain/text.ts'
import { createSignIn } from '../../gateway/auth/sign-in.ts'
import { tokenOfConnection, tokenOfHeader } from '../../gateway/auth/token.ts'
import { usedNoncesInMemory } from '../../gateway/auth/used-nonces.testing.ts'
import { schema } from '../../gateway/graphql/schema.ts'
import { parseProgressLine, progressLines } from '../../infra/clusters/process.testing.ts'
import { readConfig, settings } from '../../infra/config.ts'
import { logPositionsOf } from '../../infra/event-store/eventstoredb.testing.ts'
import { createMemoryEventStore } from '../../infra/event-store/memory.ts'
import { isName, isUtcTime } from '../../infra/event-store/validation.ts'
import { isInteger, isMoment, readCursor } from '../../projections/page.ts'
import { growthOf, type Reader } from '../worst-texts.ts'

const store = createMemoryEventStore()
const signIn = createSignIn({
  jwtSecret: 'a secret for tests that is long enough',
  publicUrl: () => 'http://localhost:4000',
  chainId: 1,
  usedNonces: usedNoncesInMemory(),
  now: () => '2026-01-01T00:00:00.000Z',
})
const ownEnvironment = { projectRoot: '/', terminal: false }
const columns = ['AcceleratorName', 'AcceleratorCount', 'vCPUs', 'MemoryGiB', 'GpuInfo', 'Price', 'Region']
const goodCells = ['T4', '1', '1', '1', "{'MemoryInfo': {'SizeInMiB': 16384}}", '1', 'FR']
const offerFile = (line: readonly string[]) =>
  `${columns.join()}\n${line.map((cell) => `"${cell.replaceAll('"', '""')}"`).join()}\n`
const scalar = (name: string) => (text: string) => {
  const type = schema.getType(name)
  if (!type || !('parseValue' in type)) throw new Error(`${name} is no scalar`)
  return type.parseValue(text)
}
const decodeFromBase64 = (text: string) => Buffer.from(JSON.stringify([text, text])).toString('base64url')

const readers: readonly Reader[] = [
  ...assets.map((asset) => ({ name: `amount of ${asset}`, read: (text: string) => parseAmount(text, asset) })),
  ...Object.keys(settings.shape).map((name) => ({
    name: `setting ${name}`,
    read: (text: string) => readConfig({ [name]: text }, ownEnvironment),
  })),
  { name: 'offer file', read: readOffers, isSlow: true },
  { name: 'offer file below its header', read: (text) => readOffers(`${columns.join()}\n${text}`), isSlow: true },
  ...columns.map((column, index) => ({
    name: `offer file, ${column}`,
    read: (text: string) => readOffers(offerFile(goodCells.with(index, text))),
    isSlow: true,
  })),
  { name: 'cursor', read: (text) => readCursor(text, [isInteger, isStorable]) },
  { name: 'parts of a cursor', read: (text) => readCursor(decodeFromBase64(text), [isInteger, isMoment]) },
  { name: 'parts of a sort key', read: (text) => [isInteger(text), isMoment(text), isStorable(text)] },
  { name: 'boundary of a replay or export', read: (text) => parseBoundary('from', text, store) },
  { name: 'name of a replay', read: schemaNameOf },
  { name: 'position', read: (text) => store.parsePosition(text) },
  { name: 'position of an EventStoreDB', read: (text) => logPositionsOf('a').partsOf(`a-${text}`) },
  { name: 'name of a stream', read: isName },
  { name: 'time of an event', read: isUtcTime },
  ...['DateTime', 'Position'].map((name) => ({ name: `scalar ${name}`, read: scalar(name) })),
  { name: 'wallet that signs in', read: (text) => signIn.message(text) },
  { name: 'message of a sign-in', read: (text) => signIn.signIn(text, '0x', '') },
  { name: 'signature of a sign-in', read: (text) => signIn.signIn('localhost:4000 wants', text, '') },
  { name: 'token', read: (text) => signIn.verify(text) },
  { name: 'header with a token', read: (text) => [tokenOfHeader(text), tokenOfHeader(`Bearer ${text}`)] },
  { name: 'token of a socket', read: (text) => tokenOfConnection({ authorization: text }) },
  { name: 'line of output', read: parseProgressLine },
  {
    name: 'output',
    read: (text) => {
      const lines = progressLines()
      return [...lines.push(Buffer.from(text)), ...lines.finish()]
    },
  },
  {
    name: 'fields of an event',
    read: (text) => encodeNewEvent(eventSchemas, { type: 'ProviderRenamed', name: text } as { type: string }),
  },
]

const characters = Number(process.argv[2])
for (const reader of readers) process.stdout.write(`${JSON.stringify(await growthOf(reader, characters))}\n`)
