// What guests ask of the market, and what a hostile provider lists in it.
import { type Attack, ask, bystanderAddress, noLongerThan, onlyCodes, type Target, times, unless } from './attack.ts'

const refusalBytesMax = 20_000
const importBytesMax = 2_000_000
const extreme = 2_147_483_647
const offer = { gpu: 'H100', gpuCount: 1, vramMib: 81_559, vcpus: 8, memoryMib: 65_536, region: 'NO' }

const listGpus = `mutation ($input: ListGpusInput!) {
  listGpus(input: $input) { ... on ListGpusSuccess { id position } ... on Error { code } } }`
const changePrice = `mutation ($input: ChangePriceInput!) {
  changePrice(input: $input) { ... on ChangePriceSuccess { position } ... on Error { code } } }`
const importOffers = `mutation ($input: ImportOffersInput!) { importOffers(input: $input) {
  ... on ImportOffersSuccess { counts { listed refused warnings } refused { line code message } position }
  ... on Error { code } } }`
const found = 'query ($id: ID!, $at: Position) { listing(id: $id, atLeast: $at) { id gpu } }'

type Listed = { readonly id: string; readonly position: string }

const list = (target: Target, changed: object) => {
  const input = { ...offer, pricePerGpuHour: '1', idempotencyKey: crypto.randomUUID(), ...changed }
  return ask(target, listGpus, { input }, { token: target.providerToken })
}

/** Resolves to a complaint unless a new listing is shown to another guest at once. */
const newListingIsShown = async (target: Target): Promise<readonly string[]> => {
  const { id, position } = (await list(target, {})).data.listGpus as Listed
  const shown = await ask(target, found, { id, at: position }, { from: bystanderAddress })
  return unless(shown.data?.listing?.id === id, `a new listing is not shown: ${shown.text.slice(0, 200)}`)
}

const extremes: Attack = {
  name: 'listings of 5,000 letters and extreme numbers',
  run: async (target) => {
    const letters = 'q'.repeat(5_000)
    const changes: readonly object[] = [
      { gpu: letters },
      { region: letters },
      { gpu: '\u{1f5a5}'.repeat(200) },
      { region: '\u202e\u0007'.repeat(50) },
      { vcpus: extreme },
      { memoryMib: extreme },
      { vramMib: extreme },
      { gpuCount: extreme },
      { vcpus: -1 },
      { pricePerGpuHour: '9'.repeat(30) },
      { pricePerGpuHour: '9'.repeat(5_000) },
      { pricePerGpuHour: '0.000001' },
      { asset: 'X'.repeat(5_000) },
      { idempotencyKey: 'k'.repeat(5_000) },
    ]
    const answers = await times(target.much(changes.length * 20, changes.length), 4, (index) =>
      list(target, { ...changes[index % changes.length], ...(index % 2 === 0 ? {} : { memoryMib: extreme }) }),
    )
    const positions = answers.flatMap(({ data }) => (data?.listGpus?.id ? [data.listGpus as Listed] : []))
    const shown = await times(positions.length, 4, (index) =>
      ask(target, found, { id: positions[index]?.id, at: positions[index]?.position }, { from: bystanderAddress }),
    )
    const lost = shown.filter(({ data }) => data?.listing?.id === undefined).length
    return [
      ...onlyCodes(answers, [undefined, 'INPUT_INVALID']),
      ...unless(positions.length > 0, 'no listing was accepted, so none was tried in the read models'),
      ...unless(lost === 0, `${lost} of ${positions.length} accepted listings are never shown`),
      ...noLongerThan(answers, refusalBytesMax),
      ...(await newListingIsShown(target)),
    ]
  },
}

const header = 'InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region'
const files: readonly string[] = [
  `${header}\n${'x,y\n'.repeat(200_000)}`,
  `${header}\n${Array.from({ length: 1_500 }, (_, line) => `m${line},H100,1,3000000000,64,,2.19,,NO`).join('\n')}`,
  `${header}\n"${'"",'.repeat(300_000)}`,
  `${header}\n${'\n'.repeat(900_000)}`,
  `${header}\nm,H100,1,8,64,"${"{'Gpus': [".repeat(90_000)}",1,,NO`,
  `${header.replace('Price', 'P'.repeat(500_000))}\nm,H100,1,8,64,,1,,NO`,
  `${header}\nm,H100,1,8,64,,${'9'.repeat(900_000)},,NO`,
]

const csv: Attack = {
  name: 'offer files of broken lines and extreme numbers',
  run: async (target) => {
    const answers = await times(target.much(files.length * 6, files.length), 2, (index) =>
      ask(
        target,
        importOffers,
        { input: { csv: files[index % files.length]?.slice(0, 1_000_000) } },
        { token: target.providerToken },
      ),
    )
    return [
      ...onlyCodes(answers, [undefined, 'INPUT_INVALID']),
      ...noLongerThan(answers, importBytesMax),
      ...(await newListingIsShown(target)),
    ]
  },
}

const ahead: Attack = {
  name: 'positions beyond the head, by many guests',
  run: async (target) => {
    const head = (await ask(target, '{ head }')).data.head as string
    const beyond = head.replace(/\d+$/, (digits) => String(10n ** 12n).padStart(digits.length, '0'))
    const query = 'query ($at: Position) { listings(atLeast: $at) { nodes { id } } }'
    const answers = await times(target.much(3_000, 200), 150, () => ask(target, query, { at: beyond }))
    return [...onlyCodes(answers, ['POSITION_AHEAD']), ...(await newListingIsShown(target))]
  },
}

const longStream: Attack = {
  name: 'asOf of a listing with 3,000 prices, eight guests at once',
  run: async (target) => {
    const { id } = (await list(target, {})).data.listGpus as Listed
    const count = target.much(3_000, 100)
    const changed = await times(count, 8, (index) => {
      const input = { listing: id, pricePerGpuHour: `1.${String(index + 1).padStart(6, '0')}` }
      return ask(target, changePrice, { input }, { token: target.providerToken })
    })
    const head = (await ask(target, '{ head }')).data.head as string
    const query = `query ($id: ID!, $at: Position!) {
      listing(id: $id, asOf: { position: $at }) { position pricePerGpuHour { amount } } }`
    const answers = await times(target.much(400, 40), 8, () => ask(target, query, { id, at: head }))
    const different = new Set(answers.map(({ text }) => text)).size
    return [
      ...onlyCodes([...changed, ...answers], [undefined]),
      ...unless(different === 1, `the same moment has ${different} different answers`),
    ]
  },
}

export const marketAttacks: readonly Attack[] = [extremes, csv, ahead, longStream]
