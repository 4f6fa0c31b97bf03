import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { psqlLine, quoteForShell } from './psql.ts'

const shell = (script: string, cwd?: string): string =>
  spawnSync('sh', ['-c', script], { encoding: 'utf8', ...(cwd && { cwd }) }).stdout

test('a shell reads a quoted text as that text', () => {
  const special = fc.string({ unit: fc.constantFrom(...' \'"\\$`!*?~#&|;<>()[]{}-=\n\ta') })
  const any = fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'))
  // All in one call of the shell: a process for each takes longer than all of them.
  fc.assert(
    fc.property(fc.array(fc.oneof(special, any), { minLength: 1, maxLength: 50 }), (texts) => {
      expect(shell(`printf '%s\\0' ${texts.map(quoteForShell).join(' ')}`)).toBe(
        texts.map((text) => `${text}\0`).join(''),
      )
    }),
    { numRuns: 30 },
  )
})

test('a plain path stays as it is', () => expect(quoteForShell('.data/keys/postgres')).toBe('.data/keys/postgres'))

describe('the line for psql', () => {
  const databaseUrl = 'postgres://neuralmesh:x@127.0.0.1:4321/neuralmesh'
  const query = `select * from "it's"`
  test.each(['data', 'my data', `it's "mine"`, '$HOME `id`', '-n', 'a\nb'])('finds the password below %j', (name) => {
    const root = mkdtempSync(join(tmpdir(), 'neuralmesh-psql-'))
    const dataDir = join(root, name)
    mkdirSync(join(dataDir, 'keys'), { recursive: true })
    writeFileSync(join(dataDir, 'keys', 'postgres'), 'secret')
    const psql = `psql() { printf '%s\\0' "$PGPASSWORD" "$@"; }`
    const said = shell(`${psql}; ${psqlLine({ databaseUrl, server: 'own' }, dataDir, query)}`)
    rmSync(root, { recursive: true })
    expect(said.split('\0').slice(0, -1)).toEqual([
      'secret',
      ...['-h', '127.0.0.1', '-p', '4321', '-U', 'neuralmesh', 'neuralmesh', '-c', query],
    ])
  })

  test('takes a database of the settings from the environment', () =>
    expect(psqlLine({ databaseUrl, server: 'given' }, 'data', 'select 1')).toBe(`psql "$DATABASE_URL" -c 'select 1'`))
})
