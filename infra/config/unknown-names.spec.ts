import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { settings } from '../config.ts'
import { unknownNames } from './unknown-names.ts'

const known = Object.keys(settings.shape)

/** Makes every name that is one slip away from this one. */
const slips = (name: string): fc.Arbitrary<string> =>
  fc.nat({ max: name.length - 1 }).chain((at) => {
    const [before, letter, after] = [name.slice(0, at), name[at] ?? '', name.slice(at + 1)]
    return fc.oneof(
      fc.constant(before + after),
      fc.constant(before + letter + letter + after),
      fc.constant(`${before}${after.slice(0, 1)}${letter}${after.slice(1)}`),
      fc.constantFrom(...'AEXZ_').map((other) => before + other + after),
      fc.constantFrom(...'AEXZ_').map((other) => before + other + letter + after),
    )
  })

test.each(known)('a slip in %s is a warning that names it', (name) =>
  fc.assert(
    fc.asyncProperty(slips(name), fc.boolean(), async (slip, small) => {
      fc.pre(!known.includes(slip))
      const variable = small ? slip.toLowerCase() : slip
      expect(await unknownNames(known, [variable], [])).toEqual([{ variable, meant: name }])
    }),
  ),
)

test('no setting is a warning', async () => {
  expect(await unknownNames(known, known, [])).toEqual([])
})

test('no variable that programs have is a warning', async () => {
  const usual =
    `PATH HOME SHELL TERM LANG LC_ALL USER LOGNAME MAIL PWD OLDPWD SHLVL EDITOR PAGER PS1 DISPLAY TMPDIR TZ _
    HOSTNAME HOSTTYPE OSTYPE MACHTYPE COLUMNS LINES CI DEBUG http_proxy HTTPS_PROXY no_proxy SSH_AUTH_SOCK SSH_TTY
    XDG_RUNTIME_DIR NODE_ENV NODE_OPTIONS NODE_VERSION npm_config_cache npm_lifecycle_event INIT_CWD DOCKER_HOST
    KUBERNETES_PORT KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT PGHOST PGPORT PGUSER PGPASSWORD PGDATA POSTGRES_PORT
    POSTGRES_PASSWORD POSTGRES_USER EVENTSTORE_PORT TEST_DATABASE_URL INVOCATION_ID JOURNAL_STREAM NOTIFY_SOCKET
    CHAOS_MINUTES CHAOS_SEED SUDO_USER WINDOWID COLORTERM CLICOLOR VIRTUAL_ENV JAVA_HOME GOPATH`.split(/\s+/)
  expect(await unknownNames(known, usual, [])).toEqual([])
  const own = Object.keys(process.env).filter((name) => !known.includes(name))
  expect(await unknownNames(known, own, [])).toEqual([])
})

describe('a file of settings', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'neuralmesh-settings-'))
  })
  afterAll(() => rm(folder, { recursive: true }))
  const write = async (text: string): Promise<string> => {
    const path = join(folder, '.env')
    await writeFile(path, text)
    return path
  }

  test('has each unknown name as a warning, once', async () => {
    const file = await write(
      '# COMMENTED=1\nPORT=1\nPROT=8080\nexport SOMETHING="a b"\nPOSTGRES_PORT=5\nPGSSLMODE=require\n',
    )
    expect(await unknownNames(known, ['PROT', 'SOMETHING', 'DATBASE_URL'], [file])).toEqual([
      { variable: 'PROT', file, meant: 'PORT' },
      { variable: 'SOMETHING', file },
      { variable: 'DATBASE_URL', meant: 'DATABASE_URL' },
    ])
  })
  test('that is absent, or no file, is no warning and no error', async () => {
    expect(await unknownNames(known, [], [join(folder, 'absent'), folder])).toEqual([])
  })
  test('of any length has few warnings', async () => {
    const names = Array.from({ length: 1_000 }, (_, index) => `NAME_${index}`)
    const file = await write(names.map((name) => `${name}=1`).join('\n'))
    expect(await unknownNames(known, names, [file])).toHaveLength(10)
  })
})
