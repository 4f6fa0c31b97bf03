import { expect, test } from '@jest/globals'
import { addressOfAll } from './nodes.ts'

const nodesAt = (...urls: string[]) => urls.map((url) => ({ url, pidFile: '/srv/pid', start: '/srv/start' }))

test('the nodes have one address together', () => {
  const options = '?tls=true&tlsCAFile=/srv/a@b/ca.crt'
  const [one, two, three] = ['a:1', 'b:2', 'c'].map((host) => `esdb://admin:change@${host}${options}`) as [
    string,
    string,
    string,
  ]
  expect(addressOfAll(nodesAt(one, two, three))).toBe(`esdb://admin:change@a:1,b:2,c:2113${options}`)
  expect(addressOfAll(nodesAt('kurrentdb://localhost'))).toBe('esdb://localhost:2113')
})
