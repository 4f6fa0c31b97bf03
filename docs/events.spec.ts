// Holds docs/events.md and the JSON Schemas beside it to the event schemas, and both to the golden log.
import { mkdirSync, writeFileSync } from 'node:fs'
import { posix } from 'node:path'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { z } from 'zod'
import { type AggregateName, type CommandOf, idOf } from '../domain/aggregates.ts'
import { personalStreams } from '../domain/catalogue.ts'
import { type EventCatalogue, gatherCatalogue } from '../testing/golden/catalogue.ts'
import { fromLine, linesOf } from '../testing/golden/log.ts'
import { readFiles } from '../testing/tidy/source-tree.ts'
import { root } from './docs.testing.ts'
import {
  envelope,
  eventsPage,
  idKinds,
  metadata,
  names,
  schemaFileOf,
  schemaFiles,
  streams,
  types,
} from './events.testing.ts'

const folder = 'docs/events'
const golden = linesOf('events.jsonl').map(fromLine)

let catalogue: EventCatalogue
let files: ReadonlyMap<string, string>

beforeAll(async () => {
  catalogue = await gatherCatalogue()
  if (process.env.UPDATE === '1') {
    mkdirSync(posix.join(root, folder), { recursive: true })
    for (const [file, text] of schemaFiles()) writeFileSync(posix.join(root, folder, file), text)
    writeFileSync(posix.join(root, 'docs/events.md'), eventsPage(catalogue.events))
  }
  files = readFiles(root)
})

test('docs/events.md is derived from the schemas and the story (UPDATE=1 writes it)', () =>
  expect(files.get('docs/events.md')).toBe(eventsPage(catalogue.events)))

describe('the JSON Schemas (UPDATE=1 writes them)', () => {
  test.each([...schemaFiles()])('%s is the schema of the program', (file, text) =>
    expect(files.get(`${folder}/${file}`)).toBe(text),
  )
  test('exist for each past and current version, and for nothing else', () => {
    const known = types.flatMap(([type, { version }]) =>
      Array.from({ length: version }, (_, before) => `${folder}/${schemaFileOf(type, before + 1)}`),
    )
    expect([...files.keys()].filter((path) => path.startsWith(`${folder}/`)).toSorted()).toEqual(known.toSorted())
  })
  test('hold for what the golden log has under each version', () => {
    const readers = new Map(
      [...files].flatMap(([path, text]) =>
        path.startsWith(`${folder}/`) ? [[posix.basename(path), z.fromJSONSchema(JSON.parse(text))] as const] : [],
      ),
    )
    const complaints = golden.flatMap(({ type, data, metadata: { schemaVersion } }) => {
      const read = readers.get(schemaFileOf(type, schemaVersion))?.safeParse(data)
      return read?.success ? [] : [`${type}: ${read ? z.prettifyError(read.error) : 'no schema'}`]
    })
    expect(complaints).toEqual([])
  })
})

/** Every command of each aggregate: leaving one out does not compile. */
const commands: { readonly [Name in AggregateName]: { readonly [Type in CommandOf<Name>['type']]: true } } = {
  account: { CreditDeposit: true, HoldFunds: true, CaptureHold: true, ReleaseHold: true, CreditEarnings: true },
  job: {
    SubmitJob: true,
    StartJob: true,
    ReportProgress: true,
    CompleteJob: true,
    FailJob: true,
    InterruptJob: true,
    RequestStop: true,
    ConfirmStop: true,
    DeclareJobLost: true,
  },
  listing: { ListGpus: true, ChangePrice: true, WithdrawListing: true, ReserveCapacity: true, FreeCapacity: true },
  payment: { ObserveDeposit: true, FinalizeDeposit: true, ReportDepositVanished: true },
  provider: { RegisterProvider: true, RenameProvider: true },
  rental: {
    RequestRental: true,
    ActivateRental: true,
    RejectRental: true,
    MeterRental: true,
    AdmitJob: true,
    CloseJob: true,
    EndRental: true,
    CompleteEnd: true,
    IssueInvoice: true,
  },
}

describe('the story from which the page takes the senders of each event', () => {
  test('sends every command', () => {
    const sent = new Set(catalogue.sent.map(({ to, command }) => `${to} ${command.type}`))
    const all = names.flatMap((name) => Object.keys(commands[name]).map((type) => `${name} ${type}`))
    expect([...sent].toSorted()).toEqual(all.toSorted())
  })
  test('stores every event', () =>
    expect(types.filter(([type]) => !catalogue.events.get(type)?.sentBy.size).map(([type]) => type)).toEqual([]))
})

describe('what the page states of all events', () => {
  test.each(names)('the id in the stream of a %s is of the stated kind', (name) => {
    const ids = golden.filter(({ stream }) => stream.startsWith(`${name}-`)).map(({ stream }) => idOf(stream))
    expect(ids.length).toBeGreaterThan(0)
    for (const id of ids) expect(id).toMatch(idKinds[streams[name].id].pattern)
    expect(streams[name].id !== 'uuid').toBe(personalStreams.includes(name))
  })
  test('is true of the golden log: these fields, and no others', () => {
    for (const { metadata: kept, data, ...event } of golden) {
      expect(Object.keys(kept).toSorted()).toEqual(Object.keys(metadata).toSorted())
      expect([...Object.keys(event), 'position'].toSorted()).toEqual(Object.keys(envelope).toSorted())
    }
  })
})
