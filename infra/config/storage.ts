import { z } from 'zod'
import { parseEventStoreDbAddress } from '../event-store-address.ts'
import { setting } from './setting.ts'

/** `postgres://user@/database?host=/folder` names the folder of a Unix socket: the address then has no host. */
const databaseAddress = z
  .string()
  .refine((text) => /^postgres(ql)?:\/\//.test(text) && URL.canParse(text.replace('@/', '@socket/')))
const eventStoreAddress = z.string().refine((text) => parseEventStoreDbAddress(text) !== undefined)

/** Settings: where the platform keeps what must last. */
export const storageSettings = {
  DATA_DIR: setting(z.string().min(1), {
    description: 'The folder for everything that must survive a restart: database, keys, jobs.',
    takes: 'a path',
    example: '/var/lib/neuralmesh',
    unset: '.data under the project',
  }),
  DATABASE_URL: setting(databaseAddress, {
    description: 'A PostgreSQL of your own, tested with version 18. The user must own the database.',
    takes: 'a postgres:// address',
    example: 'postgres://user:password@localhost:5432/neuralmesh',
    unset: 'an embedded PostgreSQL under DATA_DIR',
    secret: true,
  }),
  EVENTSTORE_URL: setting(eventStoreAddress, {
    description: 'An EventStoreDB or KurrentDB server that holds the log. Read models and timers stay in the database.',
    takes:
      'an esdb:// or kurrentdb:// address, of a cluster with commas between its nodes, or esdb+discover:// with its name',
    example: 'esdb://localhost:2113?tls=false',
    unset: 'the log lies in the database',
    secret: true,
  }),
}
