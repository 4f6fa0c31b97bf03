// What goes into the image and into the repository, and which ports a container has.
import { readFileSync } from 'node:fs'
import { join, matchesGlob } from 'node:path'
import { describe, expect, test } from '@jest/globals'

const read = (path: string): string => readFileSync(join(import.meta.dirname, '..', path), 'utf8')

/** Returns whether the file of patterns leaves a path out: the last pattern that matches it, or a folder above, decides. */
const isLeftOut = (patterns: string, path: string): boolean => {
  const names = path.split('/')
  const above = names.map((_, index) => names.slice(0, index + 1).join('/'))
  const lines = patterns.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  const deciding = lines.findLast((line) => {
    const glob = line.replace(/^!/, '').replace(/^\/|\/$/g, '')
    return above.some((each) => matchesGlob(each, glob))
  })
  return deciding !== undefined && !deciding.startsWith('!')
}

const secrets = [
  ...['.env', '.env.local', '.env.production', '.env.production.local', '.env-old', '.env~', '.env.example.mine'],
  ...['.data/keys/jwt', '.data/postgres.log'],
  ...['log-export/manifest.json', 'log-export-2026/events.parquet'],
]
const files = ['main.ts', 'package-lock.json', '.env.example', 'gateway/server.ts', 'deploy.ts']

describe.each(['.gitignore', '.dockerignore'])('%s', (name) => {
  test.each(secrets)('leaves %s out', (path) => expect(isLeftOut(read(name), path)).toBe(true))
  test.each(files)('leaves %s in', (path) => expect(isLeftOut(read(name), path)).toBe(false))
})

test('the image exposes only ports that it serves beyond 127.0.0.1', () => {
  expect(read('deploy/Dockerfile').match(/^EXPOSE .*$/gm)).toEqual(['EXPOSE 4000'])
})

test('each port of the host in docker-compose.yml is a variable', () => {
  const lines = read('docker-compose.yml').split('\n')
  const ports = lines.filter((line) => /^ +(- 127\.0\.0\.1:|\w*PORT: )|fetch\(/.test(line))
  expect(ports).toHaveLength(5)
  for (const line of ports) expect(line).toMatch(/\$\{\w*PORT:-\d+\}|process\.env\.PORT/)
  for (const name of ['PORT', 'CHAIN_PORT']) expect(lines.join('\n')).toContain(`      ${name}: \${${name}:-`)
})
