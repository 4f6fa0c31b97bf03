// Runs what the pages let a reader run, in their order, against a real platform: each GraphQL operation with variables
// that the ones before it have earned, each program, and each address that a shell block asks for.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { Kind, type OperationDefinitionNode, parse, print } from 'graphql'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { type Client, createClient } from '../../cli/client.ts'
import { signIn } from '../../cli/sign-in.ts'
import { type ChainInfo, deposit, fund } from '../../cli/wallet.ts'
import { type Block, blocksOf, dataFolderNames, pages } from '../../docs/docs.testing.ts'
import { runNode } from '../children.ts'
import { eventually } from '../eventually.ts'
import { openDuckdb } from '../servers/duckdb.ts'
import {
  createTestFolder,
  startTestPlatform,
  stopTestPlatforms,
  type TestPlatform,
  withPlatformDatabase,
} from '../worlds/platform.ts'
import { availableUnits, createListing } from '../worlds/renter.ts'

const publicUrl = 'http://127.0.0.1:4000'
const depositUnits = 25_000_000n
const wallet = privateKeyToAccount(generatePrivateKey())

/** What the variables of the snippets stand for; what an operation answers is added. */
const known = new Map<string, string>()
let folder: Awaited<ReturnType<typeof createTestFolder>>
/** Where the pages write `log-export`. */
let exports: string
let platform: TestPlatform
let client: Client

beforeAll(async () => {
  folder = await createTestFolder()
  exports = await mkdtemp(join(tmpdir(), 'neuralmesh-docs-'))
  platform = await startTestPlatform(folder.path)
  client = createClient(platform.url)
  const { head, chain } = await client.query<{ head: string; chain: ChainInfo }>(
    '{ head chain { chainId rpcUrl token marketplace } }',
  )
  known.set('after', head)
  known.set('address', wallet.address)
  known.set('listing', await createListing(platform.url, 8, '2.5'))
  await signIn(client, wallet)
  await fund(chain, wallet, depositUnits)
  await deposit(chain, wallet, depositUnits)
  await eventually('the deposit can be spent', async () => (await availableUnits(client)) === depositUnits)
  const paid = await client.query<{ payments: { edges: { node: { id: string } }[] } }>(
    '{ payments(first: 1) { edges { node { id } } } }',
  )
  known.set('payment', paid.payments.edges[0]?.node.id ?? '')
  known.set('step', (await client.query<{ head: string }>('{ head }')).head)
})
afterAll(async () => {
  await client?.close()
  await stopTestPlatforms()
  await folder.remove()
  await rm(exports, { recursive: true, force: true })
})

type Fields = Readonly<Record<string, unknown>>
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Only these are waited for: of the others, the first update is enough. */
const isLast: Readonly<Record<string, (update: Fields) => boolean>> = {
  paymentUpdated: ({ payment }) => isFields(payment) && payment.status === 'final',
  jobProgress: ({ job }) => isFields(job) && !['queued', 'running'].includes(String(job.status)),
  rentalUpdated: ({ rental }) => isFields(rental) && ['settled', 'rejected'].includes(String(rental.status)),
}

const variablesOf = ({ variableDefinitions = [] }: OperationDefinitionNode): Record<string, string> =>
  Object.fromEntries(
    variableDefinitions.map(({ variable: { name } }) => {
      const value = known.get(name.value)
      if (value === undefined) throw new Error(`no snippet before this one has given $${name.value}`)
      return [name.value, value]
    }),
  )

/** Returns whether an answer shows a reader something: it is not empty, and no list directly in it is empty. */
const isWhole = (value: unknown): boolean => {
  if (Array.isArray(value)) return value.length > 0
  return isFields(value)
    ? Object.values(value).every((part) => !Array.isArray(part) || part.length > 0)
    : value !== null
}

const learn = async (field: string, answer: Fields): Promise<void> => {
  const names: Readonly<Record<string, string>> = { rentGpu: 'rental', submitJob: 'job', listGpus: 'listing' }
  const name = names[field]
  if (name !== undefined) known.set(name, String(answer.id))
  if (field === 'signInMessage') {
    const message = String(answer.message)
    known.set('message', message)
    known.set('signature', await wallet.signMessage({ message }))
  }
  if (field === 'signIn') client.use(String(answer.token))
}

const runMutation = async (text: string, variables: Record<string, string>) => {
  const answers = Object.entries(await client.query<Record<string, Fields>>(text, variables))
  for (const [field, answer] of answers) {
    expect({ field, refused: answer.code, details: answer.details }).toEqual({ field })
    // A snippet must also select a field of the success.
    expect(Object.keys(answer).filter((name) => name !== '__typename')).not.toEqual([])
    await learn(field, answer)
  }
}

const runSubscription = async (text: string, variables: Record<string, string>) => {
  for await (const data of client.subscribe<Record<string, Fields>>(text, variables))
    for (const [field, update] of Object.entries(data)) {
      const last = isLast[field]?.(update) ?? true
      if (field === 'jobProgress' && last) expect(update.job).toMatchObject({ status: 'succeeded' })
      if (last) return
    }
  throw new Error('the subscription ended by itself')
}

const runQuery = (text: string, variables: Record<string, string>) =>
  eventually(
    'the answer is whole',
    async () => Object.values(await client.query<Fields>(text, variables)).every(isWhole),
    5_000,
  )

const runOperation = (operation: OperationDefinitionNode, text: string): Promise<unknown> => {
  const variables = variablesOf(operation)
  if (operation.operation === 'mutation') return runMutation(text, variables)
  return operation.operation === 'subscription' ? runSubscription(text, variables) : runQuery(text, variables)
}

const runGraphql = async (text: string): Promise<void> => {
  const { definitions } = parse(text)
  const fragments = definitions.filter(({ kind }) => kind === Kind.FRAGMENT_DEFINITION)
  for (const definition of definitions)
    if (definition.kind === Kind.OPERATION_DEFINITION)
      await runOperation(definition, [definition, ...fragments].map((node) => print(node)).join('\n'))
}

/** Runs Node on the data of the platform. Returns what it printed. */
const runOnPlatform = async (given: readonly string[]): Promise<string> => {
  const { code, printed } = await runNode(given, { DATA_DIR: folder.path })
  expect({ code, printed }).toEqual({ code: 0, printed })
  return printed.trim()
}

const runProgram = (text: string): Promise<string> =>
  runOnPlatform(['--input-type=module-typescript', '-e', text.replaceAll(publicUrl, platform.url)])

const inExports = (text: string): string => text.replaceAll('log-export', join(exports, 'log-export'))

/** Returns the tools that a shell block calls. */
const toolsOf = (text: string): string[][] =>
  text
    .split('\n')
    .map((line) => /^npm run (replay|export) -- (.+?)( +#.*)?$/.exec(line))
    .flatMap((call) => (call ? [[`cli/${call[1]}.ts`, ...inExports(call[2] ?? '').split(' ')]] : []))

/** Runs the statement in DuckDB when it reads files, else in the database of the platform. */
const runSql = async (text: string): Promise<void> => {
  if (/\bread_\w+\('/.test(text)) {
    const duckdb = await openDuckdb()
    const rows = await duckdb.ask(inExports(text))
    duckdb.close()
    return expect(rows).not.toEqual([])
  }
  const rows = await withPlatformDatabase(folder.path, (database) => database.query('docs', text))
  if (/^(select|with)\b/.test(text)) expect(rows).not.toEqual([])
}

type Request = { readonly path: string; readonly body: string | undefined }

/** Returns the requests that a shell block sends to the platform. */
const requestsOf = (text: string): Request[] =>
  text
    .replaceAll('\\\n', ' ')
    .split('\n')
    .flatMap((line) => {
      const [, path] = new RegExp(`curl .*${publicUrl}(/\\S*)`).exec(line) ?? []
      return path === undefined ? [] : [{ path, body: /-d '([^']+)'/.exec(line)?.[1] }]
    })

const runShell = async (text: string): Promise<void> => {
  for (const call of toolsOf(text)) await runOnPlatform(call)
  for (const { path, body } of requestsOf(text)) {
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: body ?? '' }
    const response = await fetch(`${platform.url}${path}`, body === undefined ? {} : post)
    const answer = await response.text()
    expect({ path, status: response.status, answer }).toEqual({ path, status: 200, answer })
    expect(answer).not.toContain('"errors"')
  }
}

type Snippet = Block & { readonly next: Block | undefined }
const snippets: readonly Snippet[] = pages.flatMap((page) =>
  blocksOf(page).map((block, index, all) => ({ ...block, next: all[index + 1] })),
)
const titled = (snippet: Snippet) => [`${snippet.page}:${snippet.line}`, snippet] as const

describe('each snippet of the pages works', () => {
  test.each(snippets.filter(({ language }) => ['graphql', 'sql', 'ts', 'sh'].includes(language)).map(titled))(
    '%s',
    async (_place, { language, text, next }) => {
      if (language === 'graphql') return runGraphql(text)
      if (language === 'sh') return runShell(text)
      if (language === 'sql') return runSql(text)
      const printed = await runProgram(text)
      // A program is followed by what it prints, where that is always the same.
      if (next?.language === 'text') expect(printed).toBe(next.text)
    },
  )
})

test('docs/operating.md names all that lies in the data folder, and nothing else', async () => {
  const page = pages.find(({ path }) => path === 'docs/operating.md')
  const named = page ? dataFolderNames(page).map((name) => name.replace(/\/.*$/, '')) : []
  const sometimes = ['postgres.log.1', 'postgres-programs', 'postgres.new']
  const lying = (await readdir(folder.path)).filter((name) => !sometimes.includes(name))
  expect(named.filter((name, index) => !sometimes.includes(name) && named.indexOf(name) === index).toSorted()).toEqual(
    lying.toSorted(),
  )
})
