import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { type Excuses, excuse } from './excuses.ts'
import { growthComplaints } from './growing.ts'
import { parseSources, readFiles } from './source-tree.ts'

const lets = (where: string) => `${where} grow: createBoundedMap bounds and registers it`

/** By file and name, what bounds it instead. */
const boundedOtherwise: Readonly<Record<string, string>> = {
  'commands/aggregate-cache.ts lets firstReads': 'an entry for each read under way, and the operations are bounded',
  'gateway/error-answers.ts lets answered': 'an entry for each connection that is about to end, which are bounded',
  'gateway/graphql/introspection.ts lets known': 'belongs to one operation; an entry for each field of its document',
  'gateway/lingering-close.ts lets lingering':
    'an entry for each connection that ends, which are bounded, for 5 seconds',
  'gateway/request-uses.ts lets uses': 'an entry for each request under way, which are bounded',
  'gateway/server.ts lets ends': 'an entry for each request under way, which are bounded',
  'gateway/slices.ts lets connections': 'an entry for each connection, which are bounded',
  'gateway/slices.ts lets open': 'an entry for each request under way, at most 16',
  'gateway/upgrades.ts lets timers': 'an entry for each connection that is upgraded, which are bounded, for 5 seconds',
  'gateway/websocket/transport.ts lets ownIds': 'an entry for each operation of a socket, at most 100',
  'gateway/websocket/transport.ts lets clientIds': 'an entry for each operation of a socket, at most 100',
  'infra/async/batch-loader.ts lets waiting':
    'an entry for each row that the operations under way ask for, emptied every turn',
  'infra/async/fair-places.ts lets lines': 'an entry for each key with work that runs or waits, which is bounded',
  'infra/async/fair-queue.ts lets waiting': 'an entry for each caller that waits; callers bound what they start',
  'infra/async/keyed-queue.ts lets queues': 'an entry for each piece of work under way',
  'infra/async/keyed-queue.ts lets behind': 'an entry for each piece of work under way',
  'infra/async/places.ts lets places':
    'an entry for each key with work that runs or waits; callers bound what they start',
  'infra/async/signal.ts lets waiting': 'an entry for each caller that waits, until its signal or its time ends',
  'infra/clusters/process.ts lets followers': 'an entry for each job that runs on this machine',
  'infra/event-store/eventstoredb/client.ts lets reads': 'an entry for each read under way',
  'infra/event-store/eventstoredb/client.ts lets subscriptions': 'an entry for each subscriber of the process',
  'infra/event-store/eventstoredb/deadlines.ts lets running': 'an entry for each append under way',
  'infra/event-store/eventstoredb/server-subscription.ts lets items': 'the call is paused at 1,000 items or 2 MiB',
  'infra/event-store/eventstoredb/writer.ts lets pending': 'an entry for each append under way',
  'infra/event-store/memory.ts lets log': 'the engine of pure tests',
  'infra/event-store/memory.ts lets streams': 'the engine of pure tests',
  'infra/event-store/memory.ts lets byId': 'the engine of pure tests',
  'infra/event-store/postgres/writer.ts lets ready': 'an entry for each append under way',
  'infra/postgres.ts lets listeners': 'an entry for each channel that the program listens on',
  'projections/engine/availability.ts lets served': 'an entry for each read model',
  'projections/engine/fold-batch.ts lets held': 'belongs to one batch, whose events are bounded',
  'projections/engine/fold-batch.ts lets changed': 'belongs to one batch, whose events are bounded',
  'projections/engine/fold-batch.ts lets parkings': 'belongs to one batch, whose events are bounded',
  'projections/engine/start.ts lets states': 'an entry for each read model',
  'projections/engine/position-tracker.ts lets positions': 'an entry for each read model',
  'projections/engine/stream-folds.ts lets turns': 'an entry for each fold under way, and the operations are bounded',
  'projections/engine/waiters.ts lets byPosition': 'an entry for each caller that waits, for some seconds at most',
  'projections/money-funding.ts lets byAsset': 'belongs to one trace; an entry for each asset',
  'projections/money-funding.ts lets held': 'belongs to one trace; an entry for each hold that is open',
  'projections/queries.ts lets loaders': 'an entry for each connection to the read models, of which a program has one',
  'projections/money-trace.ts lets items': 'belongs to one trace, and is cut to a page as it grows',
}
const excuses: Excuses = Object.fromEntries(Object.entries(boundedOtherwise).map(([where, why]) => [lets(where), why]))

test('what grows in memory is made by createBoundedMap', () =>
  expect(excuse(growthComplaints(parseSources(readFiles(join(import.meta.dirname, '../..')))), excuses)).toEqual([]))

const complain = (path: string, text: string) => expect(growthComplaints(parseSources(new Map([[path, text]]))))

test.each([
  ['at the top of a file', 'const known = new Map()\nexport const learn = (key) => known.set(key, 1)'],
  [
    'beside what a function returns',
    'const make = () => { const known = new Set(); return { add: (x) => known.add(x) } }',
  ],
  [
    'behind a function that is returned by its name',
    'const make = () => { const known = []; const add = (x) => { known.push(x) }; return { add } }',
  ],
  [
    'behind a function alone',
    'const make = () => { let known: string[] = []; return async (x) => { await 1; known.push(x) } }',
  ],
  [
    'behind a function in a function',
    'const make = () => { const known = new Map(); const put = (x) => known.set(x, x); return (x) => put(x) }',
  ],
])('a collection that lives longer than a call: %s', (_where, text) =>
  complain('gateway/a.ts', text).toEqual([lets('gateway/a.ts lets known')]),
)

test.each([
  [
    'within a call',
    'const count = (rows) => { const seen = new Map(); for (const row of rows) seen.set(row, 1); return seen }',
  ],
  [
    'within a call, filled by a callback',
    'const count = (rows) => { const seen = []; rows.forEach((row) => { seen.push(row) }); return seen }',
  ],
  ['a table that is written down', 'const codes = new Set(["a"])\nexport const has = (code) => codes.has(code)'],
  [
    'made by the constructor',
    'const make = () => { const known = createBoundedMap(bound); return { put: (x) => known.set(x, x) } }',
  ],
])('but not one %s', (_what, text) => complain('gateway/a.ts', text).toEqual([]))

test('nor the constructor, a test, or what is not for strangers', () => {
  const text = 'const known = new Map()\nexport const learn = (key) => known.set(key, 1)'
  for (const path of ['infra/async/bounded.ts', 'gateway/a.spec.ts', 'cli/a.ts']) complain(path, text).toEqual([])
})
