import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createGatewayWorld, type GatewayWorld } from '../../testing/worlds/gateway.ts'

// One wallet lists 11,200 names of models and regions; then an honest provider lists a new model.

const [files, linesOfFile] = [2, 5_600]
let world: GatewayWorld
let renter: Awaited<ReturnType<GatewayWorld['newUser']>>
let position: string

const head = 'InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region\n'
const info = `"{'Gpus':[{'MemoryInfo':{'SizeInMiB':9}}]}"`
const fileOf = (file: number) => {
  const name = (line: number) => `n${file}x${line},ZZ${file}N${line},1,1,1,${info},900,0,hall ${file}x${line}\n`
  return head + Array.from({ length: linesOfFile }, (_, line) => name(line)).join('')
}

const newProvider = async () => {
  const user = await world.newUser()
  await user.ask('mutation { registerProvider(input: { name: "Names" }) { __typename } }')
  return user
}

const offer = { gpuCount: 8, vramMib: 81_559, vcpus: 64, memoryMib: 65_536, pricePerGpuHour: '1000' }
const region = 'Tromso, NO, EU'

beforeAll(async () => {
  world = await createGatewayWorld()
  const stranger = await newProvider()
  for (let file = 0; file < files; file++) {
    const { data } = await stranger.ask(
      'mutation ($csv: String!) { importOffers(input: { csv: $csv }) { ... on ImportOffersSuccess { refused { line } } } }',
      { csv: fileOf(file) },
    )
    expect(data.importOffers).toEqual({ refused: [] })
  }
  world.market.pass(60)
  const honest = await newProvider()
  for (const gpu of ['B300X', 'H100']) {
    const { data } = await honest.ask(
      'mutation ($input: ListGpusInput!) { listGpus(input: $input) { ... on ListGpusSuccess { position } } }',
      { input: { ...offer, gpu, region, idempotencyKey: gpu } },
    )
    position = data.listGpus.position
  }
  renter = await world.newUser()
}, 180_000)
afterAll(() => world.close())

test.each([{ gpu: 'B300X' }, { region: 'Norway' }, { region: 'tromso' }, { gpu: 'b300-x', region: 'NO' }])(
  'a search for %j finds it',
  async (filter) => {
    const { data } = await world.ask(
      `query ($filter: ListingFilter, $at: Position) {
        listings(filter: $filter, atLeast: $at) { nodes { gpu region } } }`,
      { filter, at: position },
    )
    expect(data.listings.nodes).toContainEqual({ gpu: 'B300X', region })
  },
)

const rent = async (gpu: string) => {
  const { data } = await renter.ask(
    `mutation ($input: RentGpuInput!) { rentGpu(input: $input) { __typename
      ... on Error { code details { name value } } } }`,
    { input: { gpu, gpuCount: 1, seconds: 60, maxPricePerGpuHour: '1000', idempotencyKey: gpu } },
  )
  return data.rentGpu
}

test('it can be rented: only the money is missing', async () =>
  expect(await rent('B300X')).toMatchObject({ code: 'INSUFFICIENT_FUNDS' }))

test.each([
  ['H1OO', 'H100'],
  ['H10', 'H100'],
  ['nvidia H-1000', 'H100'],
  ['B300Y', 'B300X'],
])('a refusal of %s names %s', async (asked, nearest) => {
  const { code, details } = await rent(asked)
  expect(code).toBe('GPU_UNKNOWN')
  const { value } = details.find(({ name }: { name: string }) => name === 'nearest')
  expect(value.split(', ')).toContain(nearest)
})

test('the pages of models reach each name', async () => {
  const seen: string[] = []
  for (let more = true; more; ) {
    const { data } = await world.ask(
      'query ($after: String, $at: Position) { gpuModels(after: $after, atLeast: $at) }',
      { after: seen.at(-1), at: position },
    )
    seen.push(...data.gpuModels)
    more = data.gpuModels.length > 0
  }
  expect(seen).toHaveLength(files * linesOfFile + 2)
  expect(seen).toEqual(expect.arrayContaining(['B300X', 'H100']))
  expect(seen).toEqual([...new Set(seen)].sort())
})
