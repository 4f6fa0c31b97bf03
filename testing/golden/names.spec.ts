// Names that are data: strings that are hashed into an id or stored in a table, a file, a token or another program. A
// step or a consumer that is renamed would do its work a second time: pay a deposit twice, bill an hour twice. What is
// pinned in domain/golden-log/names.json and acts.jsonl was gathered from the running program, not from its source, so
// files and functions may be renamed freely and these may not. UPDATE=1 adds what is new; nothing takes a name out but
// an editor.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { privateKeyToAccount } from 'viem/accounts'
import { commandIds, ids, type ListingInput } from '../../commands/derived-ids.ts'
import { derivedId } from '../../commands/ids.ts'
import { importAsBefore } from '../../commands/import-offers.testing.ts'
import { importOffers } from '../../commands/import-offers.ts'
import { submitJob } from '../../commands/submit-job.ts'
import { aggregates, idOf } from '../../domain/aggregates.ts'
import { errors } from '../../domain/errors.ts'
import { usdc } from '../../domain/money.testing.ts'
import { createSignIn } from '../../gateway/auth/sign-in.ts'
import { usedNoncesInMemory } from '../../gateway/auth/used-nonces.testing.ts'
import type { Bus } from '../../infra/bus/port.ts'
import type { Cluster } from '../../infra/clusters/port.ts'
import { roles, settings } from '../../infra/config.ts'
import { createMemoryEventStore } from '../../infra/event-store/memory.ts'
import { positionsOf } from '../../infra/event-store/position.ts'
import { endAndSettle } from '../../processes/end-rental.ts'
import { requestRental } from '../../processes/rent-a-gpu.ts'
import { runSaga } from '../../processes/saga.ts'
import { handlersOf, runSubscriber, sagas } from '../../processes/subscriber.ts'
import { allProjections } from '../../projections/all.ts'
import { migrations } from '../../projections/migrations/all.ts'
import { createJobRunner } from '../../scheduler/jobs.ts'
import { runScheduler } from '../../scheduler/run.ts'
import { createActiveRental } from '../worlds/active-rental.ts'
import { steadyHeartbeats } from '../worlds/heartbeats.ts'
import { createMarket } from '../worlds/market.ts'
import { silentLog } from '../worlds/silent-log.ts'
import { fromLine, goldenFolder, linesOf, loadGoldenLog } from './log.ts'
import { lostNames, newNames, type Pinned, pinNames, readPinned } from './pinned.ts'
import { chapterNames, playChapter } from './story.ts'

const nothing = async () => undefined

/** Resolves to what each saga, consumer and timer does in one chapter, with every id that it derives. */
const actsOf = async (chapter: string): Promise<string[]> => {
  const { acts } = await playChapter(createMemoryEventStore(), chapter, 'names', '2026-01-01T00:00:00.000Z')
  return acts.map((act) => JSON.stringify({ chapter, ...act }))
}

/** Returns a bus that records each consumer with its event types. */
const recordingBus = (record: string[]): Bus => ({
  name: 'none',
  consume: async ({ consumer, filter }) => {
    record.push(...(filter.types ?? []).map((type) => `${consumer} reads ${type}`))
  },
  position: nothing,
})

const consumers = async (): Promise<string[]> => {
  const record: string[] = []
  const bus = recordingBus(record)
  const signal = AbortSignal.abort()
  const { commands, now } = createMarket()
  await runSubscriber({
    bus,
    commands,
    now,
    schedule: nothing,
    activated: nothing,
    ended: nothing,
    jobEnded: nothing,
    endRequested: nothing,
    signal,
  })
  await runScheduler({
    bus,
    jobs: { stopEnded: nothing, reconcile: nothing, close: nothing },
    heartbeats: steadyHeartbeats(),
    openWork: { openJobs: async () => [] },
    now,
    log: silentLog,
    signal,
  })
  return record
}

/** Resolves to a token of one wallet at one moment: it holds the names of issuer and audience, and the kind of
 *  signature. */
const token = async (): Promise<string> => {
  const now = () => '2026-01-01T00:00:00.000Z'
  const account = privateKeyToAccount(`0x${'1'.repeat(64)}`)
  const signIn = createSignIn({
    jwtSecret: 'a secret that is long enough to be one',
    publicUrl: () => 'http://127.0.0.1:4000',
    chainId: 1,
    usedNonces: usedNoncesInMemory(),
    now,
  })
  const asked = await signIn.message(account.address)
  if (!('message' in asked)) throw new Error(asked.refused)
  const session = await signIn.signIn(asked.message, await account.signMessage({ message: asked.message }), '')
  if (!('token' in session)) throw new Error(session.refused)
  return session.token
}

const header = 'AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,Region'
const line = `H100,8,208,1800,"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 81559}}], 'TotalGpuMemoryInMiB': 652472}",19.92,", FR"`

/** Resolves to the ids that are derived from a request, for one of each kind: the names of its fields and their order
 *  are part of the id. */
const idsOfRequests = async (): Promise<string[]> => {
  const market = createMarket()
  const { commands, now, store } = market
  await commands.execute(
    'provider',
    'provider',
    { type: 'RegisterProvider', wallet: 'provider', name: 'Paula', registeredAt: now() },
    { commandId: 'c', correlationId: 'c', causationId: 'c', actor: 'user:provider', time: now() },
  )
  await importAsBefore({ commands, now }, 'provider', [header, line, line].join('\n'))
  const machines = [`InstanceType,${header}`, `8xH100,${line}`, `8xH100,${line}`].join('\n')
  const earlierListings = async () => []
  await importOffers({ commands, now, earlierListings }, { provider: 'provider', csv: machines })
  await market.list('listing', 2)
  await market.deposit('renter', 100_000_000n)
  const terms = { listing: 'listing', gpuCount: 1, seconds: 3600n, maxPricePerGpuHour: usdc(4_000_000n) }
  const rented = await requestRental({ commands, now }, { renter: 'renter', idempotencyKey: 'key', ...terms })
  if (!('rental' in rented)) throw new Error(rented.refused)
  const program = {
    command: ['python3', 'train.py'],
    files: [{ path: 'train.py', content: 'print(1)' }],
    environment: { B: '2', A: '1' },
    timeoutSeconds: 60,
    cpuCores: 2,
    memoryMib: 512,
  }
  const identity = { renter: 'renter', idempotencyKey: 'key', rental: rented.rental }
  const submitted = await submitJob({ commands, now }, { ...identity, ...program })
  if (!('job' in submitted)) throw new Error(submitted.refused)
  const stop = { type: 'RequestStop', reason: 'enough', requestedAt: now() } as const
  const ids = { commandId: 'stop', correlationId: 'c', causationId: 'c', actor: 'system:test', time: now() } as const
  await commands.execute('job', submitted.job, stop, ids)
  const heartbeats = { acknowledged: async () => 7n }
  await endAndSettle({ commands, heartbeats: heartbeats as never, now }, rented.rental, 'returned', 'user:renter')
  const events = await Array.fromAsync(store.readAll())
  return events
    .filter(({ metadata }) => metadata.actor !== 'system:test')
    .map(({ stream, type, metadata }) => `${type} in ${stream} by ${metadata.commandId}, ${metadata.correlationId}`)
    .filter((text) => !text.startsWith('Deposit') && !text.startsWith('GpusListed in listing-listing '))
}

const namesToday = async (): Promise<Pinned> => ({
  aggregates: Object.keys(aggregates),
  'events with the versions that are read': Object.entries(aggregates).flatMap(([name, { schemas }]) =>
    Object.entries(schemas as Record<string, { version: number }>).flatMap(([type, { version }]) =>
      Array.from({ length: version }, (_, older) => `${name} ${type} v${older + 1}`),
    ),
  ),
  'error codes': Object.keys(errors),
  'what follows from an event': Object.values(aggregates)
    .flatMap(({ schemas }) => Object.keys(schemas))
    .flatMap((type) => handlersOf(type).map((follower) => `${type}: ${follower}`)),
  consumers: await consumers(),
  'steps of processes': sagas.flatMap(({ name, steps, rejected }) => [
    ...steps.flatMap(({ name: step, compensate }) => [
      `${name}: ${step}`,
      ...(compensate ? [`${name}: undo ${step}`] : []),
    ]),
    ...(rejected ? [`${name}: reject`] : []),
  ]),
  'read models': allProjections.map(({ name, version, table }) => `${name} v${version} in ${table.name}`),
  'migrations of the read models': migrations.map(({ name }) => name),
  settings: Object.keys(settings.shape),
  'roles and levels of the log': [...roles, ...settings.shape.LOG_LEVEL.unwrap().options],
  token: [await token()],
  'a position': [positionsOf('store').of(5n)],
  'ids of requests': await idsOfRequests(),
})

const actsFile = join(goldenFolder, 'acts.jsonl')
if (process.env.UPDATE === '1') {
  pinNames(await namesToday())
  const kept = new Set(linesOf('acts.jsonl'))
  for (const chapter of chapterNames)
    for (const act of await actsOf(chapter)) if (!kept.has(act)) appendFileSync(actsFile, `${act}\n`)
}

describe('names that are data', () => {
  test('all that were ever used are still in use, and new ones are pinned', async () => {
    const names = await namesToday()
    const pinned = readPinned()
    const kinds = Object.keys(names)
    const known = Object.fromEntries(Object.entries(pinned).filter(([kind]) => kinds.includes(kind)))
    expect({ lost: lostNames(known, names), new: newNames(known, names) }).toEqual({ lost: [], new: [] })
  })

  test.each(chapterNames)('the same commands and timers with the same ids: %s', async (chapter) => {
    const pinned = linesOf('acts.jsonl').filter((act) => JSON.parse(act).chapter === chapter)
    expect(await actsOf(chapter)).toEqual(pinned)
  })

  test('a saga that runs again on the golden log appends nothing', async () => {
    const store = createMemoryEventStore()
    await loadGoldenLog(store)
    const { commands, now } = createMarket(store)
    const before = await store.head()
    let runs = 0
    for (const { stream, type, revision } of linesOf('events.jsonl').map(fromLine))
      for (const process of sagas.filter(({ starts }) => starts.type === type)) {
        await runSaga({ commands, now }, process, { id: idOf(stream), revision })
        runs += 1
      }
    expect(runs).toBeGreaterThan(10)
    expect(await store.head()).toBe(before)
  })

  test('each command of a saga has the id of one of its steps', () => {
    type Sent = {
      readonly actor?: string
      readonly commandId: string
      readonly causationId: string
      readonly id: string
    }
    const sent = linesOf('acts.jsonl').map((act) => JSON.parse(act) as Sent)
    const steps = readPinned()['steps of processes'] ?? []
    const found = new Set<string>()
    // A command whose cause is itself was sent by the story, where no saga sends it.
    for (const { name } of sagas)
      for (const { commandId, causationId } of sent.filter(
        (act) => act.actor === `system:${name}` && act.causationId !== act.commandId,
      )) {
        const step = steps
          .filter((known) => known.startsWith(`${name}: `))
          .find((known) => derivedId(name, causationId, known.slice(name.length + 2)) === commandId)
        expect({ name, commandId, step }).toEqual({ name, commandId, step: expect.any(String) })
        found.add(step ?? '')
      }
    // Activating a rental whose money is held is never refused.
    expect(steps.filter((step) => !found.has(step))).toEqual(['rent-a-gpu: undo hold'])
  })
})

test('a listing has the id of its input as it was always hashed', () => {
  const input: ListingInput = {
    gpu: 'H100',
    gpuCount: 8,
    vramMib: 81_559,
    vcpus: 208,
    memoryMib: 1_843_200,
    region: 'FR',
    pricePerGpuHour: '2.49',
    asset: 'USDC/6',
    idempotencyKey: 'key',
  }
  // In whichever order its fields come, and with a field that is not given left out.
  const { asset: _, ...without } = Object.fromEntries(Object.entries(input).toReversed()) as ListingInput
  const listing = ids.listing('provider', 'key')
  expect([listing, commandIds.listGpus(listing, input), commandIds.listGpus(listing, without)]).toEqual([
    'a540e353-8ee8-5b44-b555-b41e49de46bc',
    'ad65e26c-09ee-542c-ad88-f43a57ccad20',
    'e979fc34-f738-57a4-9791-467af1822250',
  ])
})

test('an offer that is tried after another has a key made of the renter’s', () => {
  expect([0, 1, 2].map((index) => ids.keyOfTry('key', index))).toEqual([
    'key',
    '2af80c83-1c3e-5f5c-aa13-f4ee7eab3f78',
    'b5867dd1-d628-532b-aa3d-fc0ba2098392',
  ])
})

test('a request that names no listing has an id of what it asked for', () => {
  const terms = { gpuCount: 2, seconds: 60n, maxPricePerGpuHour: usdc(1n) }
  const placed = [{ gpu: 'H100', vramMib: 80_000, region: 'FR' }, { gpu: 'H100' }]
  expect(placed.map((needs) => commandIds.requestPlacedRental('rental', needs, terms))).toEqual([
    'ef4116c9-da46-52b3-94db-317eef056f3e',
    'a16b58e1-be75-5aff-ad51-9ab20bf20872',
  ])
})

test('what a scheduler reports of a job has an id of the job, the report and its details, in this order', async () => {
  const { rental, commands, now, store } = await createActiveRental()
  const program = { command: ['true'], files: [], environment: {}, timeoutSeconds: 1, cpuCores: 1, memoryMib: 1 }
  const submitted = await submitJob({ commands, now }, { renter: 'ada', rental, idempotencyKey: 'key', ...program })
  if (!('job' in submitted)) throw new Error(submitted.refused)
  const { job } = submitted
  const cluster: Cluster = {
    name: 'fake',
    launch: async (_, watcher) => {
      watcher.progressed({ percent: 12.5, message: 'loss 1' })
      watcher.ended({ ended: 'exited', exitCode: 0 })
      return 'launched'
    },
    stop: nothing,
    list: async () => [],
    readLog: async () => ({ text: '', nextOffset: 0 }),
    close: nothing,
  }
  const runner = createJobRunner({ commands, cluster, heartbeats: steadyHeartbeats(), now, log: silentLog })
  await runner.reconcile(job)
  await runner.close()
  const events = await Array.fromAsync(store.readStream(`job-${job}`))
  expect(events.slice(1).map(({ type, metadata }) => [type, metadata.commandId])).toEqual([
    ['JobStarted', derivedId('scheduler', job, 'StartJob', 'fake', '1')],
    ['JobProgressed', derivedId('scheduler', job, 'ReportProgress', '1', '12.5', 'loss 1')],
    ['JobSucceeded', derivedId('scheduler', job, 'CompleteJob', '1')],
  ])
})

test('a handler that is retried has this key and this payload', async () => {
  const set: unknown[] = []
  const { commands, now } = createMarket()
  const event = { stream: 'rental-r', type: 'RentalEnded', revision: 2n }
  await runSubscriber({
    bus: {
      name: 'none',
      position: nothing,
      consume: ({ handle }) => handle({ events: [event as never], position: 'p' as never, bytes: 0 }),
    },
    commands,
    now,
    schedule: async (name, payload, { key }) => void set.push({ name, payload, key }),
    activated: nothing,
    ended: nothing,
    jobEnded: nothing,
    endRequested: nothing,
    signal: new AbortController().signal,
  })
  const payload = { process: 'settle', id: 'r', revision: '2' }
  expect(set).toEqual([{ name: 'walk', payload, key: 'walk:settle:r:2' }])
})

test('a name that is gone, and one that was never pinned, are complained about', () => {
  expect(lostNames({ steps: ['a', 'b'], tables: ['t'] }, { steps: ['b', 'c'] })).toEqual(['steps: a', 'tables: t'])
  expect(newNames({ steps: ['a', 'b'] }, { steps: ['b', 'c'], tables: ['t'] })).toEqual(['steps: c', 'tables: t'])
})
