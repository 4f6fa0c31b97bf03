import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import { Failure } from '../domain/errors.ts'
import { readConfig, settingsTable } from './config.ts'

const environment = { projectRoot: '/project', terminal: false }
const read = (env: Record<string, string>) => readConfig(env, environment)
const failureOf = (env: Record<string, string>): Failure => {
  try {
    read(env)
  } catch (error) {
    if (error instanceof Failure) return error
    throw error
  }
  throw new Error('nothing was wrong')
}

const chain = {
  CHAIN_RPC_URL: 'https://rpc.example.com',
  CHAIN_ID: '1',
  TOKEN_ADDRESS: `0x${'a'.repeat(40)}`,
  MARKETPLACE_ADDRESS: `0x${'b'.repeat(40)}`,
  CHAIN_CONFIRMATIONS: '12',
  CHAIN_HEADERS: 'unchecked',
}

test('without variables the config runs the whole platform on this machine alone', () => {
  expect(read({})).toEqual({
    host: '127.0.0.1',
    port: 4000,
    publicUrl: undefined,
    proxies: 0,
    connectionsPerAddress: 300,
    operationsPerAddress: 500,
    dataDir: '/project/.data',
    jobDir: '/project/.data/jobs',
    jobTrust: 'strangers',
    databaseUrl: undefined,
    eventStoreUrl: undefined,
    chain: { kind: 'embedded', port: 8545, origins: [] },
    jwtSecret: undefined,
    operators: [],
    analysts: [],
    auditors: [],
    logLevel: 'info',
    logFormat: 'json',
    roles: ['gateway', 'projector', 'scheduler', 'watcher', 'worker'],
    chargePeriodSeconds: 300,
    jobsOnSigterm: 'end',
  })
})

test('every variable that is set is read', () => {
  const config = read({
    HOST: '0.0.0.0',
    PORT: '0',
    PUBLIC_URL: 'https://gpu.example.com/',
    DATA_DIR: '/data',
    JOB_DIR: '/jobs',
    JOBS_ON_SIGTERM: 'leave',
    JOB_TRUST: 'own',
    DATABASE_URL: 'postgres://u:p@db/x',
    EVENTSTORE_URL: 'esdb://u:p@log:2113',
    JWT_SECRET: 's'.repeat(32),
    OPERATORS: `0x${'A'.repeat(40)}, 0x${'b'.repeat(40)},0x${'B'.repeat(40)}`,
    ANALYSTS: `0x${'c'.repeat(40)}`,
    AUDITORS: `0x${'d'.repeat(40)}`,
    PROXIES: '2',
    CONNECTIONS_PER_ADDRESS: '5000',
    OPERATIONS_PER_ADDRESS: '7000',
    LOG_LEVEL: 'debug',
    LOG_FORMAT: 'pretty',
    ROLES: 'worker, gateway,worker',
    CHARGE_PERIOD_SECONDS: '60',
    ...chain,
  })
  expect(config).toEqual({
    host: '0.0.0.0',
    port: 0,
    publicUrl: 'https://gpu.example.com',
    proxies: 2,
    connectionsPerAddress: 5_000,
    operationsPerAddress: 7_000,
    dataDir: '/data',
    jobDir: '/jobs',
    jobTrust: 'own',
    databaseUrl: 'postgres://u:p@db/x',
    eventStoreUrl: 'esdb://u:p@log:2113',
    chain: {
      kind: 'rpc',
      rpcUrl: 'https://rpc.example.com',
      chainId: 1,
      token: chain.TOKEN_ADDRESS,
      marketplace: chain.MARKETPLACE_ADDRESS,
      confirmations: 12,
      headers: 'unchecked',
    },
    jwtSecret: 's'.repeat(32),
    operators: [`0x${'a'.repeat(40)}`, `0x${'b'.repeat(40)}`],
    analysts: [`0x${'c'.repeat(40)}`],
    auditors: [`0x${'d'.repeat(40)}`],
    logLevel: 'debug',
    logFormat: 'pretty',
    roles: ['worker', 'gateway'],
    chargePeriodSeconds: 60,
    jobsOnSigterm: 'leave',
  })
})

test('an empty variable counts as unset', () => {
  expect(read({ PORT: '', DATABASE_URL: ' ' })).toEqual(read({}))
})

test.each([
  ['the chain has its own port', {}, 8545],
  ['the chain makes room for a gateway on its port', { PORT: '8545' }, 0],
  ['the chain has the port that it was given', { PORT: '0', CHAIN_PORT: '9545' }, 9545],
  ['both may take any', { PORT: '0', CHAIN_PORT: '0' }, 0],
])('%s', (_, env, port) => expect(read(env).chain).toMatchObject({ port }))

test('one port for gateway and chain is refused', () => {
  for (const env of [{ PORT: '9000', CHAIN_PORT: '9000' }, { CHAIN_PORT: '4000' }])
    expect(failureOf(env)).toMatchObject({ code: 'CONFIG_INVALID', details: { variable: 'CHAIN_PORT' } })
})

test('log lines are for people on a terminal', () => {
  expect(readConfig({}, { ...environment, terminal: true }).logFormat).toBe('pretty')
})

describe('a wrong value names the variable, the value, what it takes and an example', () => {
  test('in the details and in the message', () => {
    const failure = failureOf({ PORT: '99999' })
    expect(failure.code).toBe('CONFIG_INVALID')
    expect(failure.details).toEqual({
      variable: 'PORT',
      value: '99999',
      takes: 'a whole number from 0 to 65535',
      example: 'PORT=8080',
    })
    expect(failure.message).toContain('PORT')
    expect(failure.message).toContain('99999')
  })

  test.each([
    ['PORT', '-1'],
    ['PORT', '4000.5'],
    ['PORT', 'http'],
    ['HOST', 'http://x'],
    ['PUBLIC_URL', 'gpu.example.com'],
    ['DATABASE_URL', 'mysql://x/y'],
    ['CHAIN_RPC_URL', 'rpc'],
    ['TOKEN_ADDRESS', '0x12'],
    ['JWT_SECRET', 'short'],
    ['OPERATORS', '0x12'],
    ['ANALYSTS', `0x${'a'.repeat(40)},`],
    ['AUDITORS', `0x${'a'.repeat(39)}`],
    ['LOG_LEVEL', 'loud'],
    ['LOG_FORMAT', 'xml'],
    ['ROLES', 'gateway,cook'],
    ['ROLES', ','],
    ['CHARGE_PERIOD_SECONDS', '0'],
  ])('%s=%s', (name, value) => {
    expect(failureOf({ [name]: value }).details.variable).toBe(name)
  })

  test.each([
    ['JWT_SECRET', 'too-short-but-secret'],
    ['DATABASE_URL', 'mysql://root:hunter2@db/x'],
    ['CHAIN_RPC_URL', 'rpc.example.com/v2/api-key'],
  ])('a wrong %s is not shown', (name, value) => {
    const failure = failureOf({ [name]: value })
    expect(failure.message).not.toContain(value)
    expect(failure.details.value).toBe(`hidden, ${value.length} characters`)
  })
})

describe('the settings of a chain belong together', () => {
  test.each(['CHAIN_ID', 'TOKEN_ADDRESS', 'MARKETPLACE_ADDRESS', 'CHAIN_CONFIRMATIONS'] as const)(
    'without %s the message names it',
    (missing) => {
      const { [missing]: _, ...rest } = chain
      expect(failureOf(rest).details).toMatchObject({
        variable: missing,
        value: 'not set',
        why: 'CHAIN_RPC_URL needs it',
      })
    },
  )
  test('and none of them is valid without the address', () => {
    expect(failureOf({ CHAIN_ID: '1' }).details).toMatchObject({ variable: 'CHAIN_RPC_URL', why: 'CHAIN_ID needs it' })
  })
})

test('docs/configuration.md holds the same table', async () => {
  const page = await readFile(join(import.meta.dirname, '..', 'docs', 'configuration.md'), 'utf8')
  expect(page.split('\n\n')).toContain(settingsTable())
})
