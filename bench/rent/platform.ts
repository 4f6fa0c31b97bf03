import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { LocalAccount } from 'viem'
import { parseJson } from '../../infra/system/json.ts'

const startMsMax = 60_000

export type Platform = { readonly url: string; readonly pid: number; close(): Promise<void> }

/** Starts the whole platform as a process of its own, with its log and its read models in this database. Throws with
 *  what it has printed when it ends before it is up. */
export const startPlatform = async (databaseUrl: string, folder: string): Promise<Platform> => {
  const settings = { DATABASE_URL: databaseUrl, EVENTSTORE_URL: '', DATA_DIR: folder, JOB_DIR: join(folder, 'jobs') }
  const child: ChildProcess = spawn(process.execPath, [join(import.meta.dirname, '..', '..', 'main.ts')], {
    env: { ...process.env, ...settings, NODE_OPTIONS: '', PORT: '0', CHAIN_PORT: '0', LOG_FORMAT: 'json' },
    stdio: ['ignore', 'pipe', 'inherit'],
    // Ctrl-C reaches the bench alone, which ends the platform in order.
    detached: true,
  })
  const ended = once(child, 'exit')
  const close = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await ended
  }
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    const failed = () => reject(new Error(`the platform did not start:\n${output}`))
    const late = setTimeout(failed, startMsMax)
    child.once('exit', failed)
    createInterface({ input: child.stdout ?? process.stdin }).on('line', (line) => {
      const { graphql } = (parseJson(line) ?? {}) as { readonly graphql?: unknown }
      if (typeof graphql === 'string') resolve(graphql)
      else output = `${output}${line}\n`.slice(-10_000)
    })
    void ended.then(() => clearTimeout(late))
  }).catch(async (error: unknown) => {
    await close()
    throw error
  })
  return { url, pid: child.pid ?? 0, close }
}

type Payload = { readonly __typename: string; readonly code?: string; readonly [field: string]: unknown }
type Answer = {
  readonly data?: { readonly answer: Payload }
  readonly errors?: readonly { readonly message: string }[]
}

/** Runs one mutation and resolves to its success. Throws its error. */
const mutate = async (
  url: string,
  token: string | undefined,
  [mutation, input, selection]: readonly [mutation: string, input: object, selection: string],
): Promise<Payload> => {
  const type = `${mutation.charAt(0).toUpperCase()}${mutation.slice(1)}`
  const query = `mutation ($input: ${type}Input!) { answer: ${mutation}(input: $input) {
    __typename ... on Error { code message } ... on ${type}Success { ${selection} } } }`
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body: JSON.stringify({ query, variables: { input } }),
  })
  const text = await response.text()
  const answer = (parseJson(text) as Answer | undefined)?.data?.answer
  if (answer === undefined || answer.code !== undefined) throw new Error(`${mutation}: ${text}`)
  return answer
}

/** A signed-in renter. Both calls take the rental from the answer, as a page that shows it does. */
export type Renter = { rent(listing: string): Promise<string>; giveBack(rental: string): Promise<void> }

/** Signs a wallet in. */
export const signIn = async (url: string, wallet: LocalAccount): Promise<Renter> => {
  const { message } = await mutate(url, undefined, ['signInMessage', { address: wallet.address }, 'message'])
  const signature = await wallet.signMessage({ message: String(message) })
  const { token } = await mutate(url, undefined, ['signIn', { message, signature }, 'token'])
  const ask = (...asked: Parameters<typeof mutate>[2]) => mutate(url, String(token), asked)
  return {
    rent: async (listing) => {
      const terms = { gpuCount: 1, seconds: 3600, maxPricePerGpuHour: '1', idempotencyKey: crypto.randomUUID() }
      const { id } = await ask('rentGpu', { listing, ...terms }, 'id rental { status } position')
      return String(id)
    },
    giveBack: async (rental) => {
      await ask('endRental', { rental }, 'rental { status } position')
    },
  }
}
