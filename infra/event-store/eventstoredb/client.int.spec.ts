import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { isFailure } from '../../../domain/errors.ts'
import { type EventStoreDbServer, startEventStoreDbServer } from '../../../testing/eventstoredb/server.ts'
import { eventually } from '../../../testing/eventually.ts'
import { parseEventStoreDbAddress } from '../../event-store-address.ts'
import { type Connection, connectEventStoreDb } from './client.ts'
import { serverFilter } from './filter.ts'

let server: EventStoreDbServer
let connection: Connection
const signal = new AbortController().signal
beforeEach(async () => {
  server = await startEventStoreDbServer()
})
afterEach(async () => {
  await connection.close()
  await server.stop()
})

const connect = (hosts: (port: number) => string) => {
  const address = parseEventStoreDbAddress(`esdb://${hosts(server.port)}?tls=false&maxDiscoverAttempts=3`)
  if (!address) throw new Error('an address')
  connection = connectEventStoreDb(address)
}
const read = () => connection.readAll('forwards', 'start', 1, serverFilter({}), { retry: false })
const subscribe = async () => {
  const subscription = connection.subscribe('start', serverFilter({}), 1)
  await subscription.next({ signal })
  return subscription
}

describe('a connection', () => {
  test('to a cluster without a leader fails the calls that need one, and no promise that nobody awaits', async () => {
    connect((port) => `127.0.0.1:${port},127.0.0.1:${port}`)
    await subscribe()
    // The connection goes to another node, which is away; the subscription stays on this one.
    server.follow({ port: 1 })
    expect(isFailure(await read().catch((error) => error), 'DATABASE_UNAVAILABLE')).toBe(true)
    server.follow('myself')
    server.refuseGossip(true)
    const asked = server.asked.get('gossip')
    const reading = read()
    await eventually('it looks for the leader', () => server.asked.get('gossip') !== asked)
    // Ends a call of the former connection while the next is looked for.
    server.dropSubscriptions()
    await expect(reading).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' })
    server.refuseGossip(false)
    expect(await read()).toMatchObject({ isCut: false })
  })
})
