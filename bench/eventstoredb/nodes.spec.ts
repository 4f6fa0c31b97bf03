import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { readNodes } from './nodes.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'neuralmesh-nodes-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const node = (port: number) => ({
  url: `esdb://admin:change@127.0.0.1:${port}?tls=true&tlsCAFile=/srv/a@b/ca.crt`,
  pidFile: `/srv/${port}/pid`,
  start: `/srv/${port}/start --quick`,
})
const written = (content: unknown) => {
  const file = join(folder, 'nodes.json')
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}

test('a folder is refused as one', () => {
  expect(() => readNodes(folder)).toThrow(`${folder} is no list of nodes with url, pidFile and start: it is a folder`)
})

test('a file of nodes is read', () => {
  expect(readNodes(written([node(1), { ...node(2), comment: 'spare' }]))).toEqual([node(1), node(2)])
})

describe('a file is refused, with the place and the reason', () => {
  test.each([
    ['which is not there', undefined, 'ENOENT'],
    ['which is no JSON', '[{', 'JSON'],
    ['which is no list', node(1), 'expected array'],
    ['without a node', [], 'Too small'],
    ['with too many nodes', Array.from({ length: 10 }, (_, index) => node(index + 1)), 'Too big'],
    ['with a node without a pidFile', [node(1), { ...node(2), pidFile: undefined }], '1: pidFile: '],
    ['with an empty command', [{ ...node(1), start: ' ' }], '0: start: Too small'],
    ['with a long command', [{ ...node(1), start: 'x'.repeat(4_097) }], '0: start: Too big'],
    ['with another address', [{ ...node(1), url: 'http://a:1' }], '0: url: is no address of one node'],
    ['with the address of a cluster', [{ ...node(1), url: 'esdb://a:1,b:2' }], '0: url: is no address of one node'],
    ['with a node twice', [node(1), { ...node(2), url: node(1).url }], 'two nodes have the same url'],
    ['with a pidFile twice', [node(1), { ...node(2), pidFile: node(1).pidFile }], 'two nodes have the same pidFile'],
    ['which is large', ' '.repeat(64 * 1024 + 1), 'more than 65536 bytes'],
  ])('%s', (_, content, why) => {
    const file = content === undefined ? join(folder, 'absent.json') : written(content)
    expect(() => readNodes(file)).toThrow(expect.objectContaining({ code: 'INPUT_INVALID' }))
    expect(() => readNodes(file)).toThrow(why)
    expect(() => readNodes(file)).toThrow(`${file} is no list of nodes with url, pidFile and start: `)
  })
})
