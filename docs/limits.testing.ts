// docs/limits.md, printed from the registered bounds.
import { posix } from 'node:path'
import { mutationsPerAddressMax, queriesPerAddressMax } from '../gateway/executions.ts'
import { errorsMax } from '../gateway/graphql/answer-size.ts'
import { documentCharactersMax, namesakesMax, selectionsMax } from '../gateway/graphql/documents.ts'
import { limits } from '../gateway/graphql/limits.ts'
import { variableDepthMax, variableKeysMax, variableValuesMax } from '../gateway/graphql/variables.ts'
import { jsonBytesMax, jsonDepthMax } from '../gateway/request-checks.ts'
import { bodyBytesMax } from '../gateway/server.ts'
import { echoCharactersMax } from '../gateway/shortened.ts'
import { requestsPerConnectionMax, sliceBytesMax } from '../gateway/slices.ts'
import { type Bound, registeredBounds } from '../infra/async/bounded.ts'
import { isTest } from '../testing/tidy/source-tree.ts'
import { files, root } from './docs.testing.ts'

/** Returns the files of the product that register a bound. */
export const registering = (): readonly string[] =>
  [...files].flatMap(([path, text]) =>
    path.endsWith('.ts') && !isTest(path) && /^const \w+ = registerBound\(\{/m.test(text) ? [path] : [],
  )

/** Loads the files that register a bound. Resolves to each bound with its file. */
export const loadBounds = async (): Promise<readonly (readonly [Bound, string])[]> => {
  const paths = registering()
  for (const path of paths) await import(posix.join(root, path))
  return registeredBounds().flatMap((bound) =>
    paths.filter((path) => files.get(path)?.includes(`name: '${bound.name}'`)).map((path) => [bound, path] as const),
  )
}

const mebibyte = 1024 * 1024
const number = (value: number): string => value.toLocaleString('en')
const bytesOf = (bytes: number): string =>
  bytes % mebibyte === 0 ? `${number(bytes / mebibyte)} MiB` : `${number(bytes)} bytes`

const sizesOf = ({ entriesMax, bytesMax }: Bound): string =>
  [
    ...(entriesMax === undefined ? [] : [`${number(entriesMax)} entries`]),
    ...(bytesMax === undefined ? [] : [bytesOf(bytesMax)]),
  ].join(', ')

const requestRows = [
  '| what | at most |',
  '|---|---|',
  `| body of a request, frame of a WebSocket | ${bytesOf(bodyBytesMax)} |`,
  `| what a body or a message takes in memory once it is parsed; levels in it | ${bytesOf(jsonBytesMax)}; ${jsonDepthMax} |`,
  `| document, comments included | ${number(documentCharactersMax)} characters |`,
  `| tokens of a document | ${number(limits.tokensMax)} |`,
  `| fields and fragments that a document selects | ${number(selectionsMax)} |`,
  `| fields of a document with one name or alias | ${number(namesakesMax)} |`,
  `| fields within fields | ${number(limits.depthMax)} |`,
  `| aliases, those of \`__typename\` too | ${number(limits.aliasesMax)}, each with ${number(limits.aliasCharactersMax)} characters |`,
  `| directives | ${number(limits.directivesMax)} |`,
  `| values in all variables; names in one object; levels | ${[variableValuesMax, variableKeysMax, variableDepthMax].map(number).join('; ')} |`,
  '| items of a list | 100, or what its description states |',
  `| values of fields in the answer | ${number(limits.fieldsMax)} |`,
  `| bytes of the answer | ${bytesOf(limits.answerBytesMax)} |`,
].join('\n')

const introduction = `# Limits

What strangers send has a bound where it enters, and what grows with them in memory has one where it is kept.

## What a request may ask for

The same on HTTP and WebSocket, each checked before anything is read (\`gateway/server.ts\`,
\`gateway/request-checks.ts\`, \`gateway/graphql/documents.ts\`, \`gateway/graphql/limits.ts\`):

${requestRows}

A body beyond its limits is refused with \`INPUT_INVALID\` and the limit, and a message closes its socket (4400) with the same
as the reason: nothing of it is parsed, so there is no operation to answer. Values are counted outside texts, whose
length counts (\`infra/system/weight.ts\`).

Values and bytes are estimated (\`gateway/graphql/cost.ts\`): a list counts with as many rows as \`first\` asks for, and
each text with the length that it may have (\`gateway/graphql/sizes.ts\`), so 20 jobs with all their files are fine and
100 are not. A query above the limits is refused with \`QUERY_TOO_COSTLY\` and both figures. The bytes are counted again as
the answer is made: beyond the limit nothing more is read, and the answer is \`ANSWER_TOO_LARGE\` alone. Each event of a
subscription is an answer of its own. What is asked of the schema itself is counted value by value before it is executed,
for the schema is known (\`gateway/graphql/introspection.ts\`): each value costs as five, which leaves room for the
standard queries of tools with all that they may ask for, and its bytes count as those of any answer.

What is done for requests before they are executed, and the reading of long bodies and messages, waits for its turn:
the loop takes one piece each time that it goes round, and addresses take turns in a circle
(\`infra/async/fair-turns.ts\`). So \`/health\` waits for one piece of work, and one client for one piece of each
other address. The HTTP parser too gets what connections send in slices of at most ${number(sliceBytesMax)} bytes, a few each time
that the loop goes round and by the same circle of addresses (\`gateway/slices.ts\`): requests that one connection sends
at once are work for many turns. Node accepts one connection each time that the loop goes round, so beside new connections
most rounds have no such work. The metrics are written at most four times a second, for all who ask. A document is kept parsed when it
comes for the second time.

An answer has at most ${number(errorsMax)} errors, and an error repeats at most ${number(echoCharactersMax)} characters of a text
that was sent.

## What a client may use at once

Per address of a client; behind proxies, set \`PROXIES\`. What is beyond is refused with
\`TOO_MANY_REQUESTS\` (HTTP 429, close code 4429), and nothing else of that client ends.

| what | per address | per wallet | in total |
|---|---|---|---|
| WebSockets | 300 (\`CONNECTIONS_PER_ADDRESS\`) | | 2,000 |
| HTTP requests under way, streams of events included | 300 (the same) | | 2,000 |
| connections that are open | three times as many | | 6,000 |
| operations over WebSocket | 500 (\`OPERATIONS_PER_ADDRESS\`), 100 on one socket | 500 | 5,000 |
| bytes that have come of requests, messages and operations under way, and of answers not taken yet | 64 MiB | 64 MiB | 256 MiB |

Of an address ${number(queriesPerAddressMax)} queries and ${number(mutationsPerAddressMax)} mutations are executed at the same time; others wait for them, in their order,
and one whose client has left by then is not begun (\`gateway/executions.ts\`). A mutation that has begun goes on to its
end, and counts until then.

Whatever the operations of an address ask for, 2 of their statements run at the database of the read models at the same time,
and 2 of its subscriptions read and fold a piece of the log that they missed, each in the turn of the address
(\`gateway/shares.ts\`). What is appended after a subscription began is live: it is read and folded
without waiting for either. Nested fields of its updates are read by the statements of the address.

A connection may have ${number(requestsPerConnectionMax)} HTTP requests under way: nothing more is read from it until some were answered. A request
must have arrived after 30 seconds, and so must a message of a WebSocket; a request is answered within 60
(\`ANSWER_TIMED_OUT\`), and who has not taken the answer by then is cut off. \`/health\` is answered whatever others use. A
body must have a Content-Length: one in chunks is refused (\`LENGTH_REQUIRED\`, HTTP 411), for
each chunk is work; a message may have 256 fragments. A connection that asks for a WebSocket must have become one after 5
seconds; what asks for another protocol, or elsewhere than at \`/graphql\`, is answered as if it did not ask. A message that
is not finished counts with all that came since it began (\`gateway/websocket/intake.ts\`). A socket takes 100 messages, pings and pongs a second. While its client leaves
more than 1 MiB unread, nothing is read from it; beyond 24 MiB it is cut off
(4408), and the client resumes at the last position. A socket is closed when its token expires (4401), and so is a stream
of events. A connection that the gateway ends with an answer lingers until
its client has closed it, at most 5 seconds and 16 MiB (\`gateway/lingering-close.ts\`): what is still sent is dropped, and the
answer is not lost.

A job may have 500,000 files, or a quarter of those that its disk may have where that is less; what else it may use:
[jobs](jobs.md#what-a-job-may-use).

## What grows in memory

Everything in the memory of a process that grows with what strangers do is made by \`createBoundedMap\`
(\`infra/async/bounded.ts\`), from a bound that is registered under a name. A bound in bytes counts about what an entry
takes; a cache keeps its newest entry even where that alone is heavier. \`testing/tidy/growing.spec.ts\` finds maps, sets
and lists that grow beside it, and names what bounds each of those instead.

This table is printed from the registered bounds: \`UPDATE=1 npm test -- docs/limits.spec.ts\` writes it, and the same test
fails when it differs.
`

/** Returns the page. */
export const limitsPage = (bounds: readonly (readonly [Bound, string])[]): string =>
  [
    introduction,
    '| name | holds | at most | when full | file |',
    '|---|---|---|---|---|',
    ...bounds.map(
      ([bound, path]) => `| ${bound.name} | ${bound.holds} | ${sizesOf(bound)} | ${bound.whenFull} | \`${path}\` |`,
    ),
    '',
  ].join('\n')
