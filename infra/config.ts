import { join, resolve } from 'node:path'
import { z } from 'zod'
import { Failure } from '../domain/errors.ts'

/** What a process of the platform can do (ROLES). */
export const roles = ['gateway', 'projector', 'scheduler', 'watcher', 'worker'] as const
export type Role = (typeof roles)[number]

/** From the most important level to the least; `silent` logs nothing. */
export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** `takes`, `example` and `unset` (the default) are texts for operators; `secret` hides the value in messages. */
type Setting = { takes: string; example: string; unset: string; description: string; secret?: boolean }

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.number().min(min).max(max))
const urlOf = (...schemes: string[]) =>
  z.string().refine((text) => URL.canParse(text) && schemes.includes(new URL(text).protocol.slice(0, -1)))
const eventStoreSchemes = ['esdb', 'esdb+discover', 'kurrentdb', 'kurrentdb+discover'] as const
const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform((text) => text as `0x${string}`)
const addressList = z
  .string()
  .transform((text) => [...new Set(text.split(',').map((wallet) => wallet.trim().toLowerCase()))])
  .pipe(z.array(address))
const roleList = z
  .string()
  .transform((text) => [...new Set(text.split(',').map((role) => role.trim()))])
  .pipe(z.array(z.enum(roles)).min(1))
const setting = <Schema extends z.ZodType>(schema: Schema, about: Setting) => schema.optional().meta(about)

/** Every environment variable that this program reads. The table in docs/configuration.md is this one. */
export const settings = z.object({
  HOST: setting(z.string().regex(/^[\w.:-]+$/), {
    description: 'The address to listen on. `0.0.0.0` opens the gateway to the network.',
    takes: 'an IP address or a host name',
    example: '0.0.0.0',
    unset: '127.0.0.1',
  }),
  PORT: setting(wholeNumber(0, 65535), {
    description: 'The port of the gateway. 0 takes any free one.',
    takes: 'a whole number from 0 to 65535',
    example: '8080',
    unset: '4000',
  }),
  PUBLIC_URL: setting(urlOf('http', 'https'), {
    description: 'The address under which browsers and wallets see the gateway; sign-in messages are bound to it.',
    takes: 'an http:// or https:// address',
    example: 'https://gpu.example.com',
    unset: 'http:// with HOST and PORT',
  }),
  DATA_DIR: setting(z.string().min(1), {
    description: 'The folder for everything that must survive a restart: database, keys, jobs.',
    takes: 'a path',
    example: '/var/lib/neuralmesh',
    unset: '.data under the project',
  }),
  DATABASE_URL: setting(urlOf('postgres', 'postgresql'), {
    description: 'A PostgreSQL of your own, tested with version 18. The user must own the database.',
    takes: 'a postgres:// address',
    example: 'postgres://user:password@localhost:5432/neuralmesh',
    unset: 'an embedded PostgreSQL under DATA_DIR',
    secret: true,
  }),
  EVENTSTORE_URL: setting(urlOf(...eventStoreSchemes), {
    description: 'An EventStoreDB or KurrentDB server that holds the log. Read models and timers stay in the database.',
    takes: 'an esdb:// or kurrentdb:// address',
    example: 'esdb://localhost:2113?tls=false',
    unset: 'the log lies in the database',
    secret: true,
  }),
  CHAIN_RPC_URL: setting(urlOf('http', 'https', 'ws', 'wss'), {
    description:
      'The RPC address of the chain. Needs CHAIN_ID, TOKEN_ADDRESS, MARKETPLACE_ADDRESS and CHAIN_CONFIRMATIONS.',
    takes: 'an http://, https://, ws:// or wss:// address',
    example: 'https://rpc.example.com',
    unset: 'an embedded chain with the contracts deployed',
    secret: true,
  }),
  CHAIN_ID: setting(wholeNumber(1, Number.MAX_SAFE_INTEGER), {
    description: 'The id of the chain behind CHAIN_RPC_URL.',
    takes: 'a whole number above 0',
    example: '11155111',
    unset: 'the id of the embedded chain',
  }),
  TOKEN_ADDRESS: setting(address, {
    description: 'The ERC-20 token that deposits are made in, on the chain behind CHAIN_RPC_URL.',
    takes: '0x and 40 hexadecimal digits',
    example: '0x5FbDB2315678afecb367f032d93F642f64180aa3',
    unset: 'the token of the embedded chain',
  }),
  MARKETPLACE_ADDRESS: setting(address, {
    description: 'The marketplace contract that takes deposits, on the chain behind CHAIN_RPC_URL.',
    takes: '0x and 40 hexadecimal digits',
    example: '0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512',
    unset: 'the contract of the embedded chain',
  }),
  CHAIN_CONFIRMATIONS: setting(wholeNumber(0, 10_000), {
    description: 'How many blocks must lie above a deposit before it can be spent, besides what the chain calls final.',
    takes: 'a whole number from 0 to 10000',
    example: '12',
    unset: 'what suits the embedded chain',
  }),
  CHAIN_PORT: setting(wholeNumber(0, 65535), {
    description: 'The RPC port of the embedded chain. When it is taken, any free one is used.',
    takes: 'a whole number from 0 to 65535',
    example: '9545',
    unset: '8545',
  }),
  JWT_SECRET: setting(z.string().min(32), {
    description: 'What access tokens are signed with. Several gateways of one platform need the same.',
    takes: 'at least 32 characters',
    example: 'the output of: openssl rand -base64 48',
    unset: 'made once, kept in DATA_DIR/keys/jwt',
    secret: true,
  }),
  OPERATORS: setting(addressList, {
    description:
      'The wallets that may repair the platform and see the history of all users. [How to become one](#operators-and-analysts)',
    takes: 'a comma-separated list of 0x and 40 hexadecimal digits',
    example: '0x5FbDB2315678afecb367f032d93F642f64180aa3',
    unset: 'no wallet',
  }),
  ANALYSTS: setting(addressList, {
    description: 'The wallets that may see the history of all users.',
    takes: 'a comma-separated list of 0x and 40 hexadecimal digits',
    example: '0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512',
    unset: 'no wallet besides the operators',
  }),
  LOG_LEVEL: setting(z.enum(logLevels), {
    description: 'The least important log line that is written.',
    takes: `one of ${logLevels.join(', ')}`,
    example: 'debug',
    unset: 'info',
  }),
  LOG_FORMAT: setting(z.enum(['pretty', 'json']), {
    description: 'One line for people, or one JSON object for machines.',
    takes: 'pretty or json',
    example: 'json',
    unset: 'pretty on a terminal, else json',
  }),
  ROLES: setting(roleList, {
    description: 'What this process does. Each role may run in as many processes as wanted.',
    takes: `a comma-separated list of ${roles.join(', ')}`,
    example: 'gateway,projector',
    unset: 'all',
  }),
  CHARGE_PERIOD_SECONDS: setting(wholeNumber(1, 86_400), {
    description: 'How often a running rental is charged. The total does not depend on it.',
    takes: 'a whole number from 1 to 86400',
    example: '60',
    unset: '300',
  }),
  JOB_DIR: setting(z.string().min(1), {
    description: 'The folder in which jobs of the embedded cluster run.',
    takes: 'a path',
    example: '/srv/neuralmesh-jobs',
    unset: 'jobs under DATA_DIR',
  }),
})

const chainVariables = ['CHAIN_ID', 'TOKEN_ADDRESS', 'MARKETPLACE_ADDRESS', 'CHAIN_CONFIRMATIONS'] as const

export type ChainConfig =
  | { readonly kind: 'embedded'; readonly port: number }
  | {
      readonly kind: 'rpc'
      readonly rpcUrl: string
      readonly chainId: number
      readonly token: `0x${string}`
      readonly marketplace: `0x${string}`
      /** Blocks. */
      readonly confirmations: number
    }

/** Paths are absolute. An undefined value comes from elsewhere: publicUrl from the port that the gateway gets,
 *  databaseUrl from the embedded server, jwtSecret from the data folder; without eventStoreUrl the log is in the
 *  database. */
export type Config = {
  readonly host: string
  readonly port: number
  readonly publicUrl: string | undefined
  readonly dataDir: string
  readonly jobDir: string
  readonly databaseUrl: string | undefined
  readonly eventStoreUrl: string | undefined
  readonly chain: ChainConfig
  readonly jwtSecret: string | undefined
  /** Wallets, in lower case. */
  readonly operators: readonly string[]
  readonly analysts: readonly string[]
  readonly logLevel: LogLevel
  readonly logFormat: 'pretty' | 'json'
  readonly roles: readonly Role[]
  readonly chargePeriodSeconds: number
}

type Environment = Readonly<Record<string, string | undefined>>
type ConfigEnvironment = { readonly projectRoot: string; readonly terminal: boolean }

const ownEnvironment: ConfigEnvironment = {
  projectRoot: resolve(import.meta.dirname, '..'),
  terminal: process.stdout.isTTY === true,
}

/** Reads and checks the settings. An empty variable counts as unset. Throws CONFIG_INVALID for the first invalid one,
 *  with the variable, its value (secrets hidden), what it takes and an example. */
export const readConfig = (env: Environment, { projectRoot, terminal }: ConfigEnvironment = ownEnvironment): Config => {
  const given = Object.fromEntries(Object.keys(settings.shape).map((name) => [name, env[name]?.trim() || undefined]))
  const read = settings.safeParse(given)
  if (!read.success) throw invalid(String(read.error.issues[0]?.path[0]), given)
  const values = read.data
  const dataDir = resolve(values.DATA_DIR ?? join(projectRoot, '.data'))
  return {
    host: values.HOST ?? '127.0.0.1',
    port: values.PORT ?? 4000,
    publicUrl: values.PUBLIC_URL?.replace(/\/+$/, ''),
    dataDir,
    jobDir: resolve(values.JOB_DIR ?? join(dataDir, 'jobs')),
    databaseUrl: values.DATABASE_URL,
    eventStoreUrl: values.EVENTSTORE_URL,
    chain: readChain(values, given),
    jwtSecret: values.JWT_SECRET,
    operators: values.OPERATORS ?? [],
    analysts: values.ANALYSTS ?? [],
    logLevel: values.LOG_LEVEL ?? 'info',
    logFormat: values.LOG_FORMAT ?? (terminal ? 'pretty' : 'json'),
    roles: values.ROLES ?? roles,
    chargePeriodSeconds: values.CHARGE_PERIOD_SECONDS ?? 300,
  }
}

const readChain = (values: z.infer<typeof settings>, given: Environment): ChainConfig => {
  const { CHAIN_RPC_URL, CHAIN_ID, TOKEN_ADDRESS, MARKETPLACE_ADDRESS, CHAIN_CONFIRMATIONS } = values
  if (CHAIN_RPC_URL === undefined) {
    const alone = chainVariables.find((name) => values[name] !== undefined)
    if (alone === undefined) return { kind: 'embedded', port: values.CHAIN_PORT ?? 8545 }
    throw invalid('CHAIN_RPC_URL', given, `${alone} needs it`)
  }
  if (CHAIN_ID === undefined || !TOKEN_ADDRESS || !MARKETPLACE_ADDRESS || CHAIN_CONFIRMATIONS === undefined)
    throw invalid(chainVariables.find((name) => values[name] === undefined) ?? '', given, 'CHAIN_RPC_URL needs it')
  return {
    kind: 'rpc',
    rpcUrl: CHAIN_RPC_URL,
    chainId: CHAIN_ID,
    token: TOKEN_ADDRESS,
    marketplace: MARKETPLACE_ADDRESS,
    confirmations: CHAIN_CONFIRMATIONS,
  }
}

const describedSettings = (): (Setting & { name: string })[] =>
  Object.entries(settings.shape).map(([name, schema]) => ({ name, ...(schema.meta() as unknown as Setting) }))

const invalid = (variable: string, given: Environment, why?: string): Failure => {
  const about = describedSettings().find(({ name }) => name === variable)
  if (!about) return new Failure('CONFIG_INVALID', { variable })
  const value = given[variable]
  const shown = value === undefined ? 'not set' : about.secret ? `hidden, ${value.length} characters` : value
  return new Failure('CONFIG_INVALID', {
    variable,
    value: shown,
    ...(why === undefined ? {} : { why }),
    takes: about.takes,
    example: `${variable}=${about.example}`,
  })
}

/** Returns the settings as the Markdown table in docs/configuration.md. */
export const settingsTable = (): string =>
  [
    '| variable | what it is | takes | when unset | example |',
    '|---|---|---|---|---|',
    ...describedSettings().map(
      ({ name, description, takes, unset, example }) =>
        `| \`${name}\` | ${description} | ${takes} | ${unset} | \`${example}\` |`,
    ),
  ].join('\n')
