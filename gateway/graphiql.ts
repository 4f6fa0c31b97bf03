import type { GraphiQLOptions } from 'graphql-yoga'

type Example = { readonly query: string; readonly variables?: object; readonly signedIn?: boolean }

const search = `# NeuralMesh: rent GPUs by the second. Each tab is a worked example; run it with Ctrl-Enter.
# Which H100 can be had for less than 3 dollars an hour?
query SearchH100 {
  listings(filter: { gpu: "H100", maxPricePerGpuHour: "3", onlyFree: true }, first: 10) {
    nodes {
      id
      gpu
      freeGpus
      vramMib
      region
      pricePerGpuHour { decimal asset }
      provider { name }
    }
    pageInfo { hasNextPage endCursor }
  }
  gpuModels
  head
}
`

const signIn = `# 1. Ask for the message, sign it with the wallet (personal_sign), 2. send it back with the signature.
# The token then goes into the headers of the other tabs: {"Authorization": "Bearer …"}
mutation SignInMessage($address: String!) {
  signInMessage(input: { address: $address }) {
    __typename
    ... on SignInMessageSuccess { message expiresAt }
    ... on Error { code message hint details { name value } }
  }
}

mutation SignIn($message: String!, $signature: String!) {
  signIn(input: { message: $message, signature: $signature }) {
    __typename
    ... on SignInSuccess { token wallet expiresAt }
    ... on Error { code message hint details { name value } }
  }
}
`

const rent = `# The cheapest fitting H100, for an hour at most. The same idempotencyKey again is the same rental.
mutation Rent {
  rentGpu(input: { gpu: "H100", hours: 1, maxPricePerGpuHour: "3", idempotencyKey: "rental-of-this-page" }) {
    __typename
    ... on RentGpuSuccess {
      id
      position
      rental { status gpu pricePerGpuHour { decimal asset } held { decimal asset } endsAt }
    }
    ... on Error { code message hint details { name value } }
  }
}
`

const live = `# The rental as it is now, then each change as it happens. After a break, pass the last position as "after".
subscription LiveRental($id: ID!, $after: Position) {
  rentalUpdated(id: $id, after: $after) {
    position
    event
    rental { status runSeconds charged { decimal asset } endReason }
  }
}
`

const job = `# A program on the rented GPUs, and its output.
mutation SubmitJob($rental: ID!) {
  submitJob(
    input: {
      rental: $rental
      command: ["node", "train.js"]
      files: [{ path: "train.js", content: "console.log('hello')" }]
      timeoutSeconds: 60
      idempotencyKey: "job-of-this-page"
    }
  ) {
    __typename
    ... on SubmitJobSuccess { id position job { status } }
    ... on Error { code message hint details { name value } }
  }
}

query JobLog($job: ID!) {
  job(id: $job) { status percent message log { text nextOffset } }
}
`

const money = `# Where the money of a rental came from and where it went, each step with its event; and the sums of the whole ledger.
query MoneyTrace($rental: ID!) {
  moneyTrace(rental: $rental) {
    funding { source id amount { decimal asset } }
    steps { time type what eventId cites posting { debit credit amount { decimal } } }
  }
  invoice(id: $rental) {
    total { decimal asset }
    released { decimal }
    lines { number description seconds periods amount { decimal } firstEventId lastEventId }
  }
  account { balances { available { decimal asset } held { decimal } } }
  ledgerSums { asset sum { decimal } }
}
`

/** The worked examples of the GraphiQL page, one tab each. */
export const examples: readonly Example[] = [
  { query: search },
  { query: signIn, variables: { address: '0x0000000000000000000000000000000000000001', message: '', signature: '0x' } },
  { query: rent, signedIn: true },
  { query: live, variables: { id: 'the id of your rental', after: null }, signedIn: true },
  { query: job, variables: { rental: 'the id of your rental', job: 'the id of your job' }, signedIn: true },
  { query: money, variables: { rental: 'the id of your rental' }, signedIn: true },
]

const headers = JSON.stringify({ Authorization: 'Bearer your-token' }, null, 2)

/** The options of the GraphiQL page. */
export const graphiqlOptions: GraphiQLOptions = {
  title: 'NeuralMesh',
  defaultQuery: search,
  defaultTabs: examples.map(({ query, variables, signedIn }) => ({
    query,
    ...(variables && { variables: JSON.stringify(variables, null, 2) }),
    ...(signedIn && { headers }),
  })),
  isHeadersEditorEnabled: true,
  shouldPersistHeaders: true,
  // The token travels in a header, and a WebSocket of a browser cannot send one.
  subscriptionsProtocol: 'SSE',
}
