// Leaves offers and a renter with money on the embedded chain, to look at and to try things with: npm run seed
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { privateKeyToAccount } from 'viem/accounts'
import { withoutTrailing } from '../domain/text.ts'
import { devKeys } from '../infra/chain/dev-keys.ts'
import { type Client, createClient } from './client.ts'
import { importOffers } from './offers.ts'
import { answers } from './platform.ts'
import { signIn } from './sign-in.ts'
import { until } from './until.ts'
import { type ChainInfo, deposit, embeddedChainId, fund } from './wallet.ts'

const usage = `npm run seed -- [--url URL] [--json]
  Lists the offers of cli/tour/offers.csv and gives a renter 100 test dollars. Running it again adds only what is missing.
  --url URL  a running platform on the embedded chain; http://127.0.0.1:4000 when left out
  --json     the result as one JSON object`

/** The provider is that of the tour, so that its offers are listed once. */
const provider = privateKeyToAccount(devKeys[2])
const providerName = 'Northern Lights Compute'
const renter = privateKeyToAccount(devKeys[3])
/** In units of USDC/6. A renter who has spent some of it gets nothing more until less than the minimum is left. */
const [depositUnits, unitsMin] = [100_000_000n, 25_000_000n]

type Money = { readonly amount: string; readonly decimal: string }
type Seeded = {
  readonly url: string
  readonly provider: string
  readonly listed: number
  readonly unchanged: number
  readonly renter: string
  /** USDC that the renter can spend. */
  readonly available: string
  readonly deposited: boolean
  readonly listing: string
  readonly headers: { readonly Authorization: string }
}

const seed = async (url: string): Promise<Seeded> => {
  if (!(await answers(url)))
    throw new Error(`No platform is ready at ${url}. Start one in another terminal: npm start, or npm run dev.`)
  const client = createClient(url)
  try {
    const { chain } = await client.query<{ chain: ChainInfo }>('{ chain { chainId rpcUrl token marketplace } }')
    if (chain.chainId !== embeddedChainId)
      throw new Error(
        `The platform at ${url} is on chain ${chain.chainId}. Only on the embedded chain (${embeddedChainId}) is money given away.`,
      )
    await signIn(client, provider)
    const csv = await readFile(join(import.meta.dirname, 'tour', 'offers.csv'), 'utf8')
    const { listed, unchanged, position } = await importOffers(client, providerName, csv)
    const listing = await cheapestListing(client, position)

    const token = await signIn(client, renter)
    const before = await availableMoney(client)
    const deposited = BigInt(before.amount) < unitsMin
    if (deposited) {
      await fund(chain, renter, depositUnits)
      await deposit(chain, renter, depositUnits)
    }
    const available = await until('the deposit can be spent', async () => {
      const money = await availableMoney(client)
      return BigInt(money.amount) < unitsMin ? undefined : money
    })
    return {
      url,
      provider: provider.address,
      listed: listed.length,
      unchanged: unchanged.length,
      renter: renter.address,
      available: available.decimal,
      deposited,
      listing,
      headers: { Authorization: `Bearer ${token}` },
    }
  } finally {
    await client.close()
  }
}

const availableMoney = async (client: Client): Promise<Money> => {
  type Answer = { account: { balances: { available: Money }[] } }
  const { account } = await client.query<Answer>('{ account { balances { available { amount decimal } } } }')
  return account.balances[0]?.available ?? { amount: '0', decimal: '0' }
}

const cheapestListing = async (client: Client, atLeast: string): Promise<string> => {
  type Answer = { listings: { edges: { node: { id: string } }[] } }
  const { listings } = await client.query<Answer>(
    `query ($atLeast: Position) { listings(atLeast: $atLeast, filter: { onlyFree: true }, first: 1) { edges { node { id } } } }`,
    { atLeast },
  )
  const [cheapest] = listings.edges
  if (!cheapest) throw new Error('No listing is free: end a rental and try again.')
  return cheapest.node.id
}

const inWords = ({ url, listed, unchanged, renter, available, deposited, listing, headers }: Seeded): string => `
${listed} offers listed, ${unchanged} known before, by the provider ${provider.address}.
The renter ${renter} can spend ${available} USDC${deposited ? '' : ', known before'}.

Open ${url}/graphql in a browser. To act as the renter, paste this into the headers tab; it is good for twelve hours:

  ${JSON.stringify(headers)}

Then try, for instance:

  { viewer { account { balances { available { decimal } held { decimal } } } } }

  mutation {
    rentGpu(input: { listing: "${listing}", hours: 1, maxPricePerGpuHour: "3", idempotencyKey: "${crypto.randomUUID()}" }) {
      ... on RentGpuSuccess { rental { id status endsAt } }
      ... on Error { code message hint }
    }
  }
`

const run = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      url: { type: 'string', default: `http://127.0.0.1:${process.env.PORT ?? 4000}` },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return console.log(usage)
  const seeded = await seed(withoutTrailing(values.url, '/'))
  console.log(values.json ? JSON.stringify({ result: seeded }) : inWords(seeded))
}

run().catch((error) => {
  console.error(`\n${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
})
