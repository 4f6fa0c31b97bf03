import pg, { type ClientConfig } from 'pg'
import { Failure } from '../../domain/errors.ts'
import { createBackoff } from '../async/backoff.ts'
import { tellWhileWaiting } from '../async/waiting.ts'
import { errorCode } from '../system/errors.ts'
import type { Log } from '../telemetry.ts'
import { isConnectionError } from './errors.ts'
import { prepareSession } from './session.ts'

const pauseMsMin = 50
const pauseMsMax = 1_000
/** Beside other clients a pooler may give two clients two processes, a few times in a row. */
const pidRounds = 12
const versionMin = 150_000
/** A process of the platform and one tool beside it. */
const connectionsNeeded = 36

/** What a server answers at once when it will answer the same again, by SQLSTATE or by the driver's code. */
const fixes: Readonly<Record<string, string>> = {
  '28P01': 'correct user and password in DATABASE_URL',
  '28000': 'correct the user in DATABASE_URL, or let it in by pg_hba.conf',
  '3D000': 'create the database, or correct its name in DATABASE_URL',
  '42501': 'grant the user what the reason names',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'give the certificate by sslrootcert in DATABASE_URL',
  SELF_SIGNED_CERT_IN_CHAIN: 'give the certificate by sslrootcert in DATABASE_URL',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'give the certificate by sslrootcert in DATABASE_URL',
  ERR_TLS_CERT_ALTNAME_INVALID: 'use the host name of the certificate in DATABASE_URL',
  CERT_HAS_EXPIRED: 'renew the certificate of the server',
}

/** The same for errors of the driver without a code. */
const fixesByMessage: readonly (readonly [part: string, fix: string])[] = [
  ['does not support SSL', 'leave sslmode out of DATABASE_URL, or turn TLS on in the server'],
  ['client password must be a', 'add the password to DATABASE_URL, or set PGPASSWORD'],
  ['unsupported startup parameter', 'connect to PostgreSQL itself, or allow the parameter in the pooler'],
  ['pooling mode', 'set pool_mode = session in the pooler, or connect to PostgreSQL itself'],
]

const refuseUrl = (why: string, fix: string, cause?: unknown): Failure =>
  new Failure('CONFIG_INVALID', { variable: 'DATABASE_URL', why, fix }, cause)

/** Returns what to change for an error that waiting does not mend; undefined for any other. */
const fixFor = (error: unknown): string | undefined => {
  const { message } = error as Error
  return fixes[errorCode(error) ?? ''] ?? fixesByMessage.find(([part]) => message.includes(part))?.[1]
}

type Facts = {
  readonly version: number
  readonly standby: boolean
  readonly readOnly: boolean
  readonly encoding: string
  readonly mayCreate: boolean
  readonly replicationRole: string
  readonly connections: number
  readonly durable: boolean
  readonly open: boolean
}

const FACTS = `select current_setting('server_version_num')::int as version,
  pg_is_in_recovery() as standby,
  current_setting('transaction_read_only')::bool as "readOnly",
  current_setting('server_encoding') as encoding,
  has_database_privilege(current_database(), 'CREATE') as "mayCreate",
  current_setting('session_replication_role') as "replicationRole",
  least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
    (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user),
    (select nullif(datconnlimit, -1) from pg_database where datname = current_database())
  ) as connections,
  current_setting('fsync')::bool and current_setting('full_page_writes')::bool as durable,
  coalesce(not (inet_server_addr() <<= '127.0.0.0/8' or inet_server_addr() = '::1'), false)
    and not (select ssl from pg_stat_ssl where pid = pg_backend_pid()) as open`

/** Waits until the database of DATABASE_URL answers, and checks that the platform can work with it as it is set up.
 *  Logs a warning for each thing that works worse than it could. Throws CONFIG_INVALID with the reason and the fix for
 *  what waiting does not mend, DATABASE_UNREACHABLE, with the address, when nothing answers in `waitMs`. */
export const checkServer = async (options: {
  readonly connection: ClientConfig
  readonly log: Log
  readonly waitMs: number
  readonly signal?: AbortSignal
}): Promise<void> => {
  const { connection, log, waitMs, signal } = options
  const address = addressOf(clientOf(connection))
  let reason: string | undefined
  const onFailed = (why: string) => {
    reason = why
  }
  const connecting = connectInTime(connection, { address, waitMs, signal, onFailed })
  const first = await tellWhileWaiting(connecting, (seconds) =>
    log.warn({ variable: 'DATABASE_URL', address, seconds, reason }, 'waiting for the database'),
  )
  try {
    const { rows } = await first.query<Facts>(FACTS)
    const facts = rows[0] as Facts
    refuseUnfit(facts)
    await refuseSharedSessions(first, connection)
    for (const warning of warningsOf(facts)) log.warn({ variable: 'DATABASE_URL' }, warning)
  } catch (error) {
    const fix = fixFor(error)
    throw fix === undefined ? error : refuseUrl((error as Error).message, fix, error)
  } finally {
    await first.end().catch(() => undefined)
  }
}

/** Returns where a client connects, for people: without user and password. */
const addressOf = ({ host, port, database = '' }: pg.Client): string => `${host}:${port}/${database}`

const connectInTime = async (
  connection: ClientConfig,
  {
    address,
    waitMs,
    signal,
    onFailed,
  }: {
    readonly address: string
    readonly waitMs: number
    readonly signal: AbortSignal | undefined
    readonly onFailed: (reason: string) => void
  },
): Promise<pg.Client> => {
  const until = performance.now() + waitMs
  const backoff = createBackoff({ minMs: pauseMsMin, maxMs: pauseMsMax })
  for (;;) {
    const client = clientOf(connection)
    try {
      await client.connect()
      await prepareSession(client)
      return client
    } catch (error) {
      await client.end().catch(() => undefined)
      const reason = (error as Error).message || errorCode(error) || 'no connection'
      const fix = fixFor(error)
      if (fix !== undefined) throw refuseUrl(reason, fix, error)
      if (!isConnectionError(error)) throw refuseUrl(reason, 'correct what the reason names', error)
      onFailed(reason)
      if (performance.now() > until || signal?.aborted)
        throw new Failure('DATABASE_UNREACHABLE', { address, reason }, error)
      await backoff.pause(signal)
    }
  }
}

const clientOf = (connection: ClientConfig): pg.Client => {
  try {
    const client = new pg.Client(connection)
    // An error of a broken connection that has no listener would end the process.
    client.on('error', () => undefined)
    return client
  } catch (error) {
    // The driver reads the files of certificates here.
    throw refuseUrl((error as Error).message, 'correct DATABASE_URL', error)
  }
}

const refuseUnfit = ({ standby, readOnly, encoding, mayCreate, replicationRole }: Facts): void => {
  if (standby) throw refuseUrl('the server is a standby and takes no writes', 'use the address of the primary server')
  if (readOnly)
    throw refuseUrl(
      'transactions are read-only here',
      'reset default_transaction_read_only of server, database and role, or use another database',
    )
  if (encoding !== 'UTF8')
    throw refuseUrl(`the database has the encoding ${encoding}`, "create one with: create database … encoding 'UTF8'")
  if (!mayCreate)
    throw refuseUrl('the user may not make schemas in this database', 'grant create on database … to the user')
  if (replicationRole !== 'origin')
    throw refuseUrl(`session_replication_role is ${replicationRole}`, 'reset it for role and database')
}

/** Refuses a pooler that gives the same server process to two clients, one after another. Locks that are held by a session, prepared
 *  statements and notifications do not work there. */
const refuseSharedSessions = async (first: pg.Client, connection: ClientConfig): Promise<void> => {
  const second = clientOf(connection)
  try {
    await second.connect()
    const seen = new Set<number>()
    for (let round = 0; round < pidRounds; round += 1) {
      seen.add(await pidOf(first))
      // Inside a transaction, in which no pooler changes the process.
      await second.query('begin')
      const other = await pidOf(second)
      await second.query('commit')
      if (seen.has(other) || seen.size > 1)
        throw refuseUrl(
          'a pooler hands the same session to several clients (transaction pooling)',
          'set pool_mode = session in the pooler, or connect to PostgreSQL itself',
        )
    }
  } finally {
    await second.end().catch(() => undefined)
  }
}

const pidOf = async (client: pg.Client): Promise<number> => {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid ?? 0
}

const warningsOf = ({ version, connections, durable, open }: Facts): string[] => [
  ...(version < versionMin ? [`PostgreSQL ${Math.floor(version / 10_000)} was never tried; 15 and 18 were`] : []),
  ...(connections < connectionsNeeded
    ? [`the database allows ${connections} connections, and ${connectionsNeeded} may be needed: raise the limit`]
    : []),
  ...(durable ? [] : ['fsync or full_page_writes is off: a power cut can lose or tear what was committed']),
  ...(open ? ['the connection to the database is not encrypted: add sslmode=verify-full to DATABASE_URL'] : []),
]
