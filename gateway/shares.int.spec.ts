// What one caller makes the platform do at the same time, for everything in the schema.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { newId } from '../commands/ids.ts'
import { shareReader } from '../infra/event-store/one-reader.ts'
import type { EventStore } from '../infra/event-store/port.ts'
import { openPostgresEventStore } from '../infra/event-store/postgres.ts'
import { connectPostgres, type Database, type Query } from '../infra/postgres.ts'
import type { ReadDatabase } from '../projections/database.ts'
import { createGatewayWorld, type GatewayWorld } from '../testing/worlds/gateway.ts'
import { silentLog } from '../testing/worlds/silent-log.ts'
import { limits } from './graphql/limits.ts'
import { queryOf, queryWays } from './graphql/schema-walk.testing.ts'
import type { Services } from './services.ts'
import { pagesPerAddressMax, statementsPerAddressMax } from './shares.ts'

/** More than two pages of a subscription. */
const listingCount = 210

/** Creates a count of what is under way, and of the most that ever was. */
const createGauge = () => {
  const gauge = { now: 0, most: 0 }
  const during = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    gauge.now += 1
    gauge.most = Math.max(gauge.most, gauge.now)
    try {
      // So that others could begin meanwhile.
      await new Promise((resolve) => setTimeout(resolve, 2))
      return await work()
    } finally {
      gauge.now -= 1
    }
  }
  return { gauge, during }
}
const [statements, pages, pageStatements] = [createGauge(), createGauge(), createGauge()]

/** Runs a query, and counts it from when it first uses the database on. */
const runCounted = async <Result>(db: ReadDatabase, query: (db: ReadDatabase) => Promise<Result>): Promise<Result> => {
  const { gauge } = statements
  const states = { isUsed: false, isCounted: false, hasEnded: false }
  const used = () => {
    if (states.isUsed) return
    states.isUsed = true
    // One that has just given its place back is no longer counted then.
    setImmediate(() => {
      if (states.hasEnded) return
      states.isCounted = true
      gauge.now += 1
      gauge.most = Math.max(gauge.most, gauge.now)
    })
  }
  const watched = new Proxy(db, {
    get: (target, name) => {
      used()
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  try {
    return await query(watched)
  } finally {
    if (states.isCounted) gauge.now -= 1
    states.hasEnded = true
  }
}

/** Returns the services, and counts what they do. */
const counted = ({ read, store, folds }: Services): Partial<Services> => ({
  read: { ...read, run: (label, query) => read.run(label, (db) => runCounted(db, query)) },
  folds: { ...folds, rowsAfter: (projection, event) => pages.during(() => folds.rowsAfter(projection, event)) },
  store: {
    ...store,
    subscribe: async function* (options) {
      const head = await store.head()
      let at = options.after ?? store.start
      const batches = reading.subscribe(options)[Symbol.asyncIterator]()
      try {
        for (;;) {
          const next = () => batches.next()
          const found = at < head ? await pages.during(next) : await next()
          if (found.done) return
          at = found.value.position
          yield found.value
        }
      } finally {
        await batches.return?.()
      }
    },
  },
})

let world: GatewayWorld
/** Another store of the same log, which knows nothing that was appended here: each page that it reads is a statement. */
let reading: EventStore
let database: Database
let user: Awaited<ReturnType<GatewayWorld['newUser']>>
beforeAll(async () => {
  world = await createGatewayWorld({ services: counted })
  user = await world.newUser()
  for (let index = 0; index < listingCount; index += 1) await world.market.list(newId(), 1)
  database = connectPostgres({ url: world.databaseUrl, log: silentLog, poolSize: 10 })
  const query: Query = (label, ...statement) => {
    const ask = () => database.query<never>(label, ...statement)
    return label === 'eventStore.readAll' ? pageStatements.during(ask) : ask()
  }
  reading = shareReader(await openPostgresEventStore({ database: { ...database, query }, pollMs: 50 }))
})
afterAll(async () => {
  await reading.close()
  await database.close()
  await world.close()
})

test('however many things its queries ask for, a caller has a few statements at the database', async () => {
  statements.gauge.most = 0
  const first = new Map(queryWays().map((way) => [way[0]?.name, way]))
  for (const way of first.values()) {
    const query = queryOf(way, ({ args }) => argumentsOf(args), { aliases: limits.aliasesMax, at: 0 })
    await Promise.all(Array.from({ length: 3 }, () => user.ask(query)))
  }
  expect(statements.gauge).toEqual({ now: 0, most: statementsPerAddressMax })
}, 120_000)

const argumentsOf = (args: readonly { readonly name: string }[]): string => {
  const given = args.flatMap((argument) => (['id', 'rental'].includes(argument.name) ? [`${argument.name}: "a"`] : []))
  return given.length === 0 ? '' : `(${given.join(', ')})`
}

test.each([
  ['listings', 'subscription ($after: Position) { listingChanged(after: $after) { position } }', listingCount],
  ['the log', 'subscription ($after: Position) { events(after: $after) { position } }', 1],
])(
  'subscriptions of one caller to %s, while they catch up, have a few pages under way',
  async (...[, query, count]) => {
    await user.ask('mutation { registerProvider(input: { name: "Paula" }) { __typename } }')
    pages.gauge.most = 0
    pageStatements.gauge.most = 0
    const socket = world.socket({ token: user.token })
    const followers = Array.from({ length: 8 }, () =>
      socket.iterate({ query, variables: { after: world.store.start } }),
    )
    await Promise.all(
      followers.map(async (follower) => {
        for (let seen = 0; seen < count; seen += 1) expect((await follower.next()).done).toBe(false)
      }),
    )
    expect(pages.gauge.most).toBe(pagesPerAddressMax)
    expect(pageStatements.gauge.most).toBe(pagesPerAddressMax)
    await socket.dispose()
  },
  60_000,
)
