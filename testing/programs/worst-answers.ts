/** A program that reads the worst answers of a node of the chain to each method, and prints the CPU time of each as a line
 *  of JSON. The first is an honest answer. */
import { clientOf } from '../../infra/chain/rpc.testing.ts'
import { growthOf, type Reader } from '../worst-texts.ts'

const word = `"0x${'1'.repeat(64)}"`
const addressed = '"address":"0xe7f1725e7734ce288f8367e1bb143e90bb3f0512"'
const placed = `"blockHash":${word},"blockNumber":"0x1","transactionHash":${word},"logIndex":"0x0"`
const honestLog = `{${addressed},"topics":[${word},${word}],"data":"0x",${placed}}`
const bloom = `"0x${'0'.repeat(512)}"`
const blockWith = (more: string): string =>
  `{"hash":${word},"parentHash":${word},"number":"0x1","logsBloom":${bloom},"transactions":[],${more}}`

const listOf = (item: string) => (characters: number) =>
  `[${Array(Math.ceil(characters / (item.length + 1)))
    .fill(item)
    .join()}]`
const around = (before: string, unit: string, after: string) => (characters: number) =>
  before + unit.repeat(Math.ceil(characters / unit.length)) + after
const nested = (before: string, after: string) => (characters: number) => {
  const depth = Math.ceil(characters / (before.length + after.length))
  return `${before.repeat(depth)}0${after.repeat(depth)}`
}

/** Shapes of values, about so many characters long. */
const shapes: Readonly<Record<string, (characters: number) => string>> = {
  'logs of the right form': listOf(honestLog),
  'a list of numbers': listOf('0'),
  'a list of nulls': listOf('null'),
  'a list of empty objects': listOf('{}'),
  'a list of empty lists': listOf('[]'),
  'a list of empty texts': listOf('""'),
  'a list of words': listOf(word),
  'a list of wide objects': listOf(`{${addressed},"topics":[0,0,0,0,0,0,0,0,0,0,0],"data":7,"blockHash":[[]]}`),
  'logs, each wrong in each field': listOf(
    `{"address":"0x","topics":["","","",""],"data":"","blockHash":"${'z'.repeat(66)}"}`,
  ),
  'logs, the last one wrong': (characters) => listOf(honestLog)(characters).replace(/\]$/, ',{}]'),
  'a log of many topics': around(`[{${addressed},"topics":[${word}`, `,${word}`, `],"data":"0x",${placed}}]`),
  'lists within lists': nested('[', ']'),
  'objects within objects': nested('{"a":', '}'),
  'an object of many fields': (characters) =>
    `{${Array.from({ length: Math.ceil(characters / 12) }, (_, at) => `"k${at + 1e6}":0`).join()}}`,
  'a long name': around('[{"', 'n', '":0}]'),
  'a long text': around('"', 'x', '"'),
  'a text of escapes': around('"', '\\u0000', '"'),
  'long bytes': around('"0x', '00', '"'),
  'long bytes that end badly': around('"0x', '00', '0z"'),
  'a block of bad transactions': (characters) => blockWith(`"transactions":${listOf('0')(characters)}`),
  'a block of much extra data': (characters) => blockWith(`"extraData":${around('"0x', '00', '"')(characters)}`),
  'a receipt of bad logs': (characters) =>
    `[{"blockHash":${word},"transactionHash":${word},"logs":${listOf('7')(characters)}}]`,
}

const frames: Readonly<Record<string, (shape: string) => string>> = {
  result: (shape) => `{"jsonrpc":"2.0","id":1,"result":${shape}}`,
  message: (shape) => `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":${shape}}}`,
  data: (shape) => `{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"no","data":${shape}}}`,
  answer: (shape) => shape,
}
const methods = ['eth_getLogs', 'eth_getBlockByNumber', 'eth_getBlockReceipts', 'eth_call']

const readerOf = (method: string, frame: string, shape: string, sized: boolean) => {
  let answer = ''
  const client = clientOf(() => answer, sized)
  const request = client.request as (asked: object) => Promise<unknown>
  const reader: Reader = {
    name: `${method}: ${shape} as ${frame}${sized ? '' : ', over a socket'}`,
    read: (text) => {
      answer = text
      return request({ method, params: ['0x1', false] })
    },
  }
  const textsOf = (characters: number) => [frames[frame]?.(shapes[shape]?.(characters) ?? '') ?? '']
  return { reader, textsOf }
}

const names = Object.keys(shapes)
const readers = [
  ...methods.flatMap((method) => names.map((shape) => readerOf(method, 'result', shape, true))),
  ...['message', 'data', 'answer'].flatMap((frame) => names.map((shape) => readerOf('eth_call', frame, shape, true))),
  ...names.map((shape) => readerOf('eth_getLogs', 'result', shape, false)),
]

const characters = Number(process.argv[2])
for (const { reader, textsOf } of readers)
  process.stdout.write(`${JSON.stringify(await growthOf(reader, characters, textsOf))}\n`)
