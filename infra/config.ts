import { join, resolve } from 'node:path'
import { z } from 'zod'
import { Failure } from '../domain/errors.ts'
import { withoutTrailing } from '../domain/text.ts'
import { chainSettings } from './config/chain.ts'
import { gatewaySettings } from './config/gateway.ts'
import { identitySettings } from './config/identity.ts'
import { jobsSettings } from './config/jobs.ts'
import { networkSettings } from './config/network.ts'
import { type LogLevel, platformSettings, type Role, roles } from './config/platform.ts'
import type { Setting } from './config/setting.ts'
import { storageSettings } from './config/storage.ts'
import { type SettingWarning, unknownNames } from './config/unknown-names.ts'

export { type LogLevel, type Role, roles } from './config/platform.ts'

/** Every environment variable that this program reads. The table in docs/configuration.md is this one. */
export const settings = z.object({
  ...networkSettings,
  ...gatewaySettings,
  ...storageSettings,
  ...chainSettings,
  ...identitySettings,
  ...platformSettings,
  ...jobsSettings,
})

const chainVariables = ['CHAIN_ID', 'TOKEN_ADDRESS', 'MARKETPLACE_ADDRESS', 'CHAIN_CONFIRMATIONS'] as const

export type ChainConfig =
  | { readonly kind: 'embedded'; readonly port: number; readonly origins: readonly string[] }
  | {
      readonly kind: 'rpc'
      readonly rpcUrl: string
      readonly chainId: number
      readonly token: `0x${string}`
      readonly marketplace: `0x${string}`
      /** Blocks. */
      readonly confirmations: number
      readonly headers: 'checked' | 'unchecked'
    }

/** Paths are absolute. An undefined value comes from elsewhere: publicUrl from the port that the gateway gets,
 *  databaseUrl from the embedded server, jwtSecret from the data folder; without eventStoreUrl the log is in the
 *  database. */
export type Config = {
  readonly host: string
  readonly port: number
  readonly publicUrl: string | undefined
  /** Of ours, before the gateway. */
  readonly proxies: number
  readonly connectionsPerAddress: number
  readonly operationsPerAddress: number
  readonly dataDir: string
  readonly jobDir: string
  readonly jobTrust: 'strangers' | 'own'
  readonly databaseUrl: string | undefined
  readonly eventStoreUrl: string | undefined
  readonly chain: ChainConfig
  readonly jwtSecret: string | undefined
  /** Wallets, in lower case. */
  readonly operators: readonly string[]
  readonly analysts: readonly string[]
  readonly auditors: readonly string[]
  readonly logLevel: LogLevel
  readonly logFormat: 'pretty' | 'json'
  readonly roles: readonly Role[]
  readonly chargePeriodSeconds: number
  readonly jobsOnSigterm: 'end' | 'leave'
}

const gatewayPort = 4000
const chainPort = 8545

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
    port: values.PORT ?? gatewayPort,
    publicUrl: values.PUBLIC_URL && withoutTrailing(values.PUBLIC_URL, '/'),
    proxies: values.PROXIES ?? 0,
    connectionsPerAddress: values.CONNECTIONS_PER_ADDRESS ?? 300,
    operationsPerAddress: values.OPERATIONS_PER_ADDRESS ?? 500,
    dataDir,
    jobDir: resolve(values.JOB_DIR ?? join(dataDir, 'jobs')),
    jobTrust: values.JOB_TRUST ?? 'strangers',
    databaseUrl: values.DATABASE_URL,
    eventStoreUrl: values.EVENTSTORE_URL,
    chain: readChain(values, given),
    jwtSecret: values.JWT_SECRET,
    operators: values.OPERATORS ?? [],
    analysts: values.ANALYSTS ?? [],
    auditors: values.AUDITORS ?? [],
    logLevel: values.LOG_LEVEL ?? 'info',
    logFormat: values.LOG_FORMAT ?? (terminal ? 'pretty' : 'json'),
    roles: values.ROLES ?? roles,
    chargePeriodSeconds: values.CHARGE_PERIOD_SECONDS ?? 300,
    jobsOnSigterm: values.JOBS_ON_SIGTERM ?? 'end',
  }
}

/** Resolves to the variables that are probably meant for settings and are none, at most ten.
 *  @param files the files of settings, such as `.env`. */
export const settingWarnings = (env: Environment, files: readonly string[]): Promise<SettingWarning[]> =>
  unknownNames(Object.keys(settings.shape), Object.keys(env), files)

/** Returns the ports that the platform listens on, without those that it does not choose itself. */
export const portsOf = ({ port, chain }: Pick<Config, 'port' | 'chain'>): number[] =>
  [port, chain.kind === 'rpc' ? 0 : chain.port].filter((one) => one !== 0)

const readChain = (values: z.infer<typeof settings>, given: Environment): ChainConfig => {
  const { CHAIN_RPC_URL, CHAIN_ID, TOKEN_ADDRESS, MARKETPLACE_ADDRESS, CHAIN_CONFIRMATIONS } = values
  if (CHAIN_RPC_URL === undefined) {
    const alone = [...chainVariables, 'CHAIN_HEADERS' as const].find((name) => values[name] !== undefined)
    if (alone === undefined)
      return { kind: 'embedded', port: readChainPort(values, given), origins: values.CHAIN_ORIGINS ?? [] }
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
    headers: values.CHAIN_HEADERS ?? 'checked',
  }
}

/** Returns the port of the embedded chain, which is not that of the gateway; 0 is any that is free. */
const readChainPort = ({ PORT, CHAIN_PORT }: z.infer<typeof settings>, given: Environment): number => {
  const port = PORT ?? gatewayPort
  if (port !== 0 && CHAIN_PORT === port) throw invalid('CHAIN_PORT', given, `PORT is ${port} too`)
  return CHAIN_PORT ?? (port === chainPort ? 0 : chainPort)
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
