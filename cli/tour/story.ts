import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { generatePrivateKey, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { Failure } from '../../domain/errors.ts'
import { counted } from '../../domain/text.ts'
import { devKeys } from '../../infra/chain/dev-keys.ts'
import { AnswerError } from '../answer-error.ts'
import { type Client, createClient } from '../client.ts'
import { importOffers } from '../offers.ts'
import { signIn } from '../sign-in.ts'
import { until } from '../until.ts'
import { type ChainInfo, deposit, fund } from '../wallet.ts'
import { endOnLeaving, type Rented } from './leave.ts'
import { type Printer, silentAfter } from './print.ts'

type MoneyAnswer = { readonly amount: string; readonly decimal: string; readonly asset: string }
const money = 'amount decimal asset'

const depositUnits = 25_000_000n
const rentHours = 1
const trainSeconds = 8

type Offers = { readonly file: string; readonly csv: string }

/** Plays one whole rental through the public API of the platform at `url`. A tour that ends early, by an error or by
 *  the signal, ends its rental on the way out: the key of its wallet ends with it.
 *  Throws when an answer is not as expected: the tour is a check as well. Throws the reason of the signal. */
export const playTour = async (url: string, offers: Offers, print: Printer, signal: AbortSignal): Promise<void> => {
  const provider = createClient(url)
  const renter = createClient(url)
  let renting: Promise<Rented> | undefined
  const play = async (told: Printer): Promise<void> => {
    await listOffers(provider, offers, told)
    const wallet = privateKeyToAccount(generatePrivateKey())
    told.chapter('A renter signs in with a wallet')
    await signIn(renter, wallet)
    told.text(`signed in as ${wallet.address}`)
    await payIn(renter, wallet, told)
    const listings = await search(renter, told)
    signal.throwIfAborted()
    told.chapter('The renter rents the cheapest for an hour')
    renting = rent(renter, listings, told)
    const { id } = await renting
    await runJob(renter, id, told)
    await giveBack(renter, id, told)
    renting = undefined
    await showInvoice(renter, id, told)
    await traceMoney(renter, id, told)
  }
  try {
    await untilAborted(play(silentAfter(print, signal)), signal)
  } finally {
    if (renting) await endOnLeaving(renter, renting, print)
    await Promise.all([provider.close(), renter.close()])
  }
}

/** Resolves as the work does, or throws the reason of the signal as soon as it aborts. */
const untilAborted = async (work: Promise<void>, signal: AbortSignal): Promise<void> => {
  signal.throwIfAborted()
  const left = new AbortController()
  await Promise.race([
    work,
    once(signal, 'abort', { signal: left.signal }).then(() => signal.throwIfAborted()),
  ]).finally(() => left.abort())
}

const listOffers = async (client: Client, { file, csv }: Offers, print: Printer): Promise<void> => {
  print.chapter(`A provider imports offers from ${file}`)
  await signIn(client, privateKeyToAccount(devKeys[2]))
  const imported = await importOffers(client, 'Northern Lights Compute', csv)
  print.text(
    `${counted(imported.listed.length, 'offer')} listed, ${imported.unchanged.length} known before, ${imported.refused.length} refused`,
  )
  for (const { line, message, details } of imported.refused) {
    const why = details.filter(({ name }) => name !== 'line').map(({ name, value }) => `${name}: ${value}`)
    print.text(`line ${line}: ${message} (${why.join(', ')})`)
  }
}

const payIn = async (client: Client, wallet: PrivateKeyAccount, print: Printer): Promise<void> => {
  print.chapter('The renter deposits tokens on chain')
  const { chain } = await client.query<{ chain: ChainInfo }>('{ chain { chainId rpcUrl token marketplace } }')
  print.text(`chain ${chain.chainId} at ${chain.rpcUrl}, marketplace ${chain.marketplace}`)
  await fund(chain, wallet, depositUnits)
  const { head } = await client.query<{ head: string }>('{ head }')
  type Update = {
    paymentUpdated: { event: string; payment: { status: string; amount: MoneyAnswer; blockNumber: string } }
  }
  const updates = client.subscribe<Update>(
    `subscription ($after: Position) { paymentUpdated(after: $after) { event payment { status blockNumber amount { ${money} } } } }`,
    { after: head },
  )
  print.text(`transaction ${await deposit(chain, wallet, depositUnits)}`)
  for await (const {
    paymentUpdated: { payment },
  } of updates) {
    print.text(`${payment.amount.decimal} USDC in block ${payment.blockNumber}: ${payment.status}`)
    if (payment.status === 'final') break
  }
  const available = await until('the deposit can be spent', async () => {
    const { account } = await client.query<{ account: { balances: { available: MoneyAnswer }[] } }>(
      `{ account { balances { available { ${money} } } } }`,
    )
    return account.balances[0]?.available
  })
  expect(BigInt(available.amount) === depositUnits, `the account shows ${available.decimal} instead of the deposit`)
  print.text(`${available.decimal} USDC can be spent`)
}

type Listing = {
  id: string
  gpu: string
  freeGpus: number
  gpuCount: number
  region: string
  pricePerGpuHour: MoneyAnswer
}

const search = async (client: Client, print: Printer): Promise<Listing[]> => {
  print.chapter('The renter searches: H100 under 3 USD/h')
  const { listings } = await client.query<{ listings: { edges: { node: Listing }[] } }>(
    `{ listings(filter: { gpu: "H100", maxPricePerGpuHour: "3", onlyFree: true }, first: 5) {
         edges { node { id gpu freeGpus gpuCount region pricePerGpuHour { ${money} } } } } }`,
  )
  const found = listings.edges.map(({ node }) => node)
  print.table(
    found.map(({ gpu, freeGpus, gpuCount, region, pricePerGpuHour }) => ({
      GPU: gpu,
      free: `${freeGpus}/${gpuCount}`,
      'USD/h': pricePerGpuHour.decimal,
      region,
    })),
  )
  if (found.length === 0)
    throw new Failure('NO_FITTING_OFFER', { needs: 'an H100 under 3 USD/h: end a rental, or give other --offers' })
  return found
}

const rent = async (client: Client, [listing, ...others]: Listing[], print: Printer): Promise<Rented> => {
  if (!listing) throw new Failure('LISTING_FULL', { listings: 'all that were found' })
  type Success = { rental: { id: string; status: string; held: MoneyAnswer; endsAt: string } }
  const terms = { gpuCount: 1, hours: rentHours, maxPricePerGpuHour: '3', idempotencyKey: crypto.randomUUID() }
  const selection = `rental { id status endsAt held { ${money} } } position`
  const answer = await client
    .mutate<Success>('rentGpu', { listing: listing.id, ...terms }, selection)
    .catch((error: unknown) => {
      if (!(error instanceof AnswerError) || error.code !== 'LISTING_FULL') throw error
      print.text(error.message)
    })
  if (!answer) return rent(client, others, print)
  const { rental } = answer
  expect(rental.status === 'active', `the rental is ${rental.status}`)
  print.text(`rental ${rental.id} is active until ${rental.endsAt}`, { rental: rental.id })
  print.text(`${rental.held.decimal} USDC held for the whole hour`)
  return rental
}

const runJob = async (client: Client, rental: string, print: Printer): Promise<void> => {
  print.chapter('A job runs: a small neural network learns by gradient descent')
  const program = await readFile(new URL('train.mjs', import.meta.url), 'utf8')
  const { job } = await client.mutate<{ job: { id: string } }>(
    'submitJob',
    {
      rental,
      command: ['node', 'train.mjs', '--seconds', String(trainSeconds)],
      files: [{ path: 'train.mjs', content: program }],
      timeoutSeconds: 60,
      idempotencyKey: crypto.randomUUID(),
    },
    'job { id } position',
  )
  type Update = {
    jobProgress: { job: { status: string; percent: number; message: string | null; code: string | null } }
  }
  const updates = client.subscribe<Update>(
    'subscription ($job: ID!) { jobProgress(job: $job) { event job { status percent message code } } }',
    { job: job.id },
  )
  for await (const { jobProgress } of updates) {
    const { status, percent, message, code } = jobProgress.job
    if (status === 'running') print.progress(percent, message ?? '')
    if (status === 'failed' || status === 'stopped') throw new Error(`The job ${status}: ${code} ${message}`)
    if (status === 'succeeded') break
  }
  const { job: ended } = await client.query<{ job: { log: { text: string } } }>(
    'query ($id: ID!) { job(id: $id) { log { text } } }',
    { id: job.id },
  )
  print.text(`the job has succeeded; the last line of its log: ${ended.log.text.trim().split('\n').at(-1)}`)
}

const giveBack = async (client: Client, rental: string, print: Printer): Promise<void> => {
  print.chapter('The renter gives the GPU back early')
  const { position } = await client.mutate<{ position: string | null }>('endRental', { rental }, 'position')
  type Ended = {
    status: string
    runSeconds: number
    charged: MoneyAnswer
    released: MoneyAnswer | null
    pricePerGpuHour: MoneyAnswer
    held: MoneyAnswer
  }
  const fields = `status runSeconds charged { ${money} } released { ${money} } pricePerGpuHour { ${money} } held { ${money} }`
  const updates = client.subscribe<{ rentalUpdated: { rental: Ended } }>(
    `subscription ($id: ID!) { rentalUpdated(id: $id) { event rental { ${fields} } } }`,
    { id: rental },
  )
  for await (const { rentalUpdated } of updates) {
    const { status, runSeconds, charged, released, pricePerGpuHour, held } = rentalUpdated.rental
    if (status !== 'settled' || !released) continue
    const owed = (BigInt(pricePerGpuHour.amount) * BigInt(runSeconds)) / 3600n
    expect(BigInt(charged.amount) === owed, `${charged.amount} was charged, ${owed} is owed`)
    expect(
      BigInt(held.amount) === BigInt(charged.amount) + BigInt(released.amount),
      'the hold was not given back to the last unit',
    )
    print.text(
      `${runSeconds} s at ${pricePerGpuHour.decimal} USD/h: ${charged.decimal} USDC charged, ${released.decimal} USDC released`,
    )
    return
  }
  throw new Error(`The rental was not settled after ${position}.`)
}

const showInvoice = async (client: Client, rental: string, print: Printer): Promise<void> => {
  print.chapter('The invoice')
  type Invoice = {
    total: MoneyAnswer
    lines: { description: string; seconds: number; amount: MoneyAnswer; firstEventId: string }[]
  }
  const invoice = await until('the invoice is there', async () => {
    const answer = await client.query<{ invoice: Invoice | null }>(
      `query ($id: ID!) { invoice(id: $id) { total { ${money} } lines { description seconds firstEventId amount { ${money} } } } }`,
      { id: rental },
    )
    return answer.invoice ?? undefined
  })
  print.table(
    invoice.lines.map(({ description, seconds, amount, firstEventId }) => ({
      line: description,
      s: String(seconds),
      USDC: amount.decimal,
      event: firstEventId,
    })),
  )
  print.text(`total ${invoice.total.decimal} USDC`)
}

const traceMoney = async (client: Client, rental: string, print: Printer): Promise<void> => {
  print.chapter('The trace of the money, from the chain transaction to the invoice line')
  type Step = {
    type: string
    eventId: string
    what: string
    posting: { debit: string; credit: string; amount: MoneyAnswer } | null
  }
  const { moneyTrace, ledgerSums } = await client.query<{
    moneyTrace: { steps: Step[] }
    ledgerSums: { asset: string; sum: MoneyAnswer }[]
  }>(
    `query ($id: ID!) { moneyTrace(rental: $id) { steps { type eventId what posting { debit credit amount { ${money} } } } }
       ledgerSums { asset sum { ${money} } } }`,
    { id: rental },
  )
  for (const { type, eventId, what, posting } of moneyTrace.steps) {
    print.text(`${type.padEnd(17)} ${what}`, { event: eventId })
    print.text(`${''.padEnd(17)} event ${eventId}`)
    if (posting) print.text(`${''.padEnd(17)} ${posting.debit} → ${posting.credit}: ${posting.amount.decimal}`)
  }
  for (const { asset, sum } of ledgerSums) {
    expect(sum.amount === '0', `the ledger's sum in ${asset} is ${sum.decimal}`)
    print.text(`the sum of all entries in ${asset} is ${sum.decimal}`)
  }
}

const expect = (holds: boolean, otherwise: string): void => {
  if (!holds) throw new Error(`Unexpected: ${otherwise}.`)
}
