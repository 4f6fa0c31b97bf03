// Each input of each query and mutation with values that are out of range: a refusal names a field that the caller wrote.
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { GraphQLInputObjectType, getNamedType } from 'graphql'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { newId } from '../../commands/ids.ts'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'
import { type InputPlace, inputPlaces } from './input-walk.testing.ts'
import { schema } from './schema.ts'

type User = Awaited<ReturnType<GatewayWorld['newUser']>>
type Fields = Readonly<Record<string, unknown>>

const account = privateKeyToAccount(generatePrivateKey())
const wallet = account.address.toLowerCase()
let world: GatewayWorld
let user: User
let listing: string
beforeAll(async () => {
  world = await createGatewayWorld({
    services: () => ({ privileged: { operators: [wallet], auditors: [wallet], analysts: [] } }),
  })
  user = await world.newUser(account)
  await user.ask('mutation { registerProvider(input: { name: "P" }) { __typename } }')
  await world.market.deposit(wallet, 1_000_000_000n)
  listing = newId()
  await world.market.list(listing, 8, { amount: 1_000n, asset: 'USDC/6' }, wallet)
  await world.ask('query ($at: Position) { gpuModels(atLeast: $at) }', { at: await world.store.head() })
})
afterAll(() => world.close())

const offer = { gpuCount: 1, vramMib: 1, vcpus: 1, memoryMib: 1, region: 'FR', pricePerGpuHour: '1' }
/** Returns what else a mutation needs, so that nothing is refused before the field that is tried. */
const needed = (mutation: string, field: string): Fields => {
  const key = { idempotencyKey: newId() }
  if (mutation === 'listGpus') return { gpu: 'H100', ...offer, ...key }
  if (mutation === 'changePrice') return { listing, pricePerGpuHour: '1' }
  if (mutation === 'importOffers') return { csv: 'a' }
  if (mutation !== 'rentGpu') return {}
  const what = field === 'listing' ? {} : { gpu: 'H100' }
  const time = field === 'seconds' ? {} : { hours: 1 }
  return { ...what, ...time, maxPricePerGpuHour: '4', ...key }
}

const many = 300
const outOfRange: Readonly<Record<string, readonly unknown[]>> = {
  Int: [-(2 ** 31), -1, 0, 2 ** 31 - 1],
  String: ['', ' ', 'nul\0', '-1', '0', '$2', '1e308', '0.0000001', '9'.repeat(30), '9'.repeat(31), 'a'.repeat(many)],
  ID: ['', 'nul\0', 'a'.repeat(many)],
}

const variablesOf = ({ name, variablesOf }: InputPlace, value: unknown): Fields => {
  const [kind, field = '', argument, below, last] = name.split(' ')
  const variables = variablesOf(value)
  if (kind !== 'mutation' || argument !== 'input' || below === undefined) return variables
  const input = variables.input as Fields
  const within = below === 'part' && last !== below ? (input[below] as Fields) : {}
  const part = { firstLine: 2, equalsBefore: [], matched: [], ...(last === undefined ? {} : { [last]: within[last] }) }
  return { input: { ...input, ...needed(field, below), [below]: below === 'part' ? part : input[below] } }
}

/** Returns the names that the caller of an operation can write. */
const writable = (name: string): ReadonlySet<string> => {
  const [kind = '', field = ''] = name.split(' ')
  const root = kind === 'mutation' ? schema.getMutationType() : schema.getQueryType()
  const names = (root?.getFields()[field]?.args ?? []).flatMap((argument) => {
    const type = getNamedType(argument.type)
    return [argument.name, ...(type instanceof GraphQLInputObjectType ? Object.keys(type.getFields()) : [])]
  })
  return new Set(names)
}

type Told = { readonly code: string; readonly details: Readonly<Record<string, string>> }
const refusalsOf = async ({ operation }: InputPlace, variables: Fields): Promise<Told[]> => {
  const { data, errors } = await user.ask(operation.replace('{ code }', '{ code details { name value } }'), variables)
  const failed = (errors ?? []).map(({ extensions }) => extensions as unknown as Told)
  const answers = Object.values((data ?? {}) as Record<string, Told & { details?: { name: string; value: string }[] }>)
  const refused = answers.flatMap((answer) =>
    answer?.code && Array.isArray(answer.details)
      ? { code: answer.code, details: Object.fromEntries(answer.details.map(({ name, value }) => [name, value])) }
      : [],
  )
  return [...failed, ...refused]
}

/** Texts of a form of their own: what is wrong with them is refused first. */
const refusedBefore = ['csv', 'message']
/** Say what a field takes, beside the field. */
const beside = ['takes', 'reason']
const complaintsOf = (
  { name: place }: InputPlace,
  names: ReadonlySet<string>,
  { code, details = {} }: Told,
): string[] => {
  // Nothing is parked here: the world of specs has no sagas.
  if (code === 'INTERNAL') return place.includes('ParkedTask') ? [] : ['it is a defect']
  if (!/_INVALID$|PRICE_ABOVE_MAXIMUM|NO_FITTING_OFFER/.test(code) || code === 'TOKEN_INVALID') return []
  const named = Object.keys(details).filter((name) => names.has(name) || !beside.includes(name))
  const tried = place.split(' ').at(-1) ?? ''
  const isOther = named.some((name) => refusedBefore.includes(name))
  if (!isOther && !JSON.stringify(details).includes(tried)) return [`${code} names ${named}, and not ${tried}`]
  if (named.length === 0) return [`${code} names no field`]
  const fields = named.map((name) => name.replace(/^input\./, ''))
  return fields.flatMap((name) => {
    if (!names.has(name.split(/[.[ ]/)[0] ?? '')) return [`${code} names ${name}, which is no field`]
    return name.endsWith('.amount') ? [`${code} names ${name}, which has another unit`] : []
  })
}

test('a refusal of a value that is out of range names a field of the request', async () => {
  const places = inputPlaces().filter(
    ({ name, input }) => !name.startsWith('subscription') && String(getNamedType(input.type)) in outOfRange,
  )
  const complaints: string[] = []
  const codes = new Set<string>()
  for (const place of places) {
    const names = writable(place.name)
    for (const value of outOfRange[String(getNamedType(place.input.type))] ?? []) {
      const given = String(place.input.type).startsWith('[') ? [value] : value
      for (const told of await refusalsOf(place, variablesOf(place, given))) {
        codes.add(told.code)
        for (const complaint of complaintsOf(place, names, told))
          complaints.push(`${place.name} ${JSON.stringify(String(value).slice(0, 40))}: ${complaint}`)
      }
    }
  }
  expect(complaints).toEqual([])
  expect([...codes]).toEqual(expect.arrayContaining(['INPUT_INVALID', 'LISTING_INVALID', 'RENTAL_INVALID']))
}, 120_000)
