// What an attack is, and what all of them use.
import { createSemaphore } from '../../infra/async/semaphore.ts'
import { eventually } from '../eventually.ts'
import { type HttpAnswer, send } from './http.ts'

/** What an attack may use. `much` scales it: 1 is the whole attack, the short form takes a part. */
export type Target = {
  readonly url: string
  readonly chainUrl: string
  /** The platform's own process. */
  readonly pid: number
  readonly dataDir: string
  /** A listing of a provider who attacks nothing. */
  readonly listing: string
  /** The token of another provider, who does. */
  readonly providerToken: string
  /** Returns the part of a number that this run sends; at least `least`. */
  much(full: number, least?: number): number
  readonly isShort: boolean
}

/** `run` resolves to what did not hold, one sentence each. */
export type Attack = {
  readonly name: string
  readonly run: (target: Target) => Promise<readonly string[]>
}

export type GraphqlAnswer = HttpAnswer & {
  // biome-ignore lint/suspicious/noExplicitAny: an attack knows itself which answer it expects.
  readonly data: any
  /** The code of the first error; NO_CODE for an error without one. */
  readonly code: string | undefined
}

/** The address of all who attack; others come from the second one. */
export const attackerAddress = '127.0.0.1'
export const bystanderAddress = '127.0.0.2'

/** What may be in use while no attack is under way: the question itself, and one of the sampler. */
const inUseAtRest = { sockets: 0, operations: 0, requests: 2, requestBytes: 0 } as const
/** What the gateway has accepted from an attacker is worked off, also when its client has left. */
const workedOffMsMax = 30_000

/** Sends a GraphQL document over HTTP; as a guest, unless a token is given. */
export const ask = async (
  { url }: Pick<Target, 'url'>,
  query: string,
  variables: object = {},
  options: { readonly token?: string; readonly from?: string } = {},
): Promise<GraphqlAnswer> => {
  const answer = await send({
    url: `${url}/graphql`,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
    },
    body: JSON.stringify({ query, variables }),
    from: options.from ?? attackerAddress,
  })
  const { data, errors } = (answer.value ?? {}) as {
    readonly data?: unknown
    readonly errors?: readonly { readonly extensions?: { readonly code?: string } }[]
  }
  const [error] = errors ?? []
  return { ...answer, data, code: error && (error.extensions?.code ?? 'NO_CODE') }
}

/** Does work `count` times, `atOnce` at a time, and resolves to the results in their order. */
export const times = async <Result>(
  count: number,
  atOnce: number,
  work: (index: number) => Promise<Result>,
): Promise<Result[]> => {
  const limited = createSemaphore(atOnce)
  return Promise.all(Array.from({ length: count }, (_, index) => limited(() => work(index))))
}

/** Returns the complaint, once, when a condition does not hold. */
export const unless = (holds: boolean, complaint: string): readonly string[] => (holds ? [] : [complaint])

/** Returns one complaint for all answers that are none of `codes` (undefined is an answer with data). */
export const onlyCodes = (
  answers: readonly GraphqlAnswer[],
  codes: readonly (string | undefined)[],
): readonly string[] => {
  const others = answers.filter(({ code }) => !codes.includes(code))
  const shown = [...new Set(others.map(({ code, status }) => `${code ?? 'data'} (${status})`))].join(', ')
  return unless(others.length === 0, `${others.length} of ${answers.length} were answered with ${shown}`)
}

/** Returns a complaint when an answer has more bytes than it may. */
export const noLongerThan = (answers: readonly HttpAnswer[], bytesMax: number): readonly string[] => {
  const most = Math.max(0, ...answers.map(({ text }) => Buffer.byteLength(text)))
  return unless(most <= bytesMax, `an answer had ${most} bytes, more than ${bytesMax}`)
}

/** Resolves to a complaint unless the honest provider's listing is found and listed, from another address. */
export const stillServes = async (target: Target): Promise<readonly string[]> => {
  const query = 'query ($id: ID!) { listing(id: $id) { id } listings(first: 5) { nodes { id } } }'
  const answer = await ask(target, query, { id: target.listing }, { from: bystanderAddress })
  return unless(
    answer.data?.listing?.id === target.listing && answer.data.listings.nodes.length > 0,
    `listings are not served to others: ${answer.code ?? answer.text.slice(0, 200)}`,
  )
}

/** Resolves to how much of one kind all clients use. */
export const inUse = async ({ url }: Target, kind: keyof typeof inUseAtRest): Promise<number> => {
  const { text } = await send({ url: `${url}/metrics`, from: bystanderAddress })
  const line = text.split('\n').find((one) => one.startsWith(`neuralmesh_gateway_in_use{kind="${kind}"}`))
  return Number(line?.split(' ').at(-1) ?? Number.NaN)
}

/** Resolves to complaints unless all that an attack used is given back soon after its end. */
export const nothingLeft = async (target: Target): Promise<readonly string[]> => {
  const complaints: string[] = []
  for (const [kind, most] of Object.entries(inUseAtRest) as [keyof typeof inUseAtRest, number][]) {
    const isBack = async () => (await inUse(target, kind)) <= most
    const none = await eventually(`${kind} are given back`, isBack, workedOffMsMax).catch(() => false)
    if (!none) complaints.push(`${await inUse(target, kind)} ${kind} are in use after its end`)
  }
  return complaints
}
