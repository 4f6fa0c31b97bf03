// A job gets every variable of its spec, whatever names the scripts and the shells around it use themselves.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { recorder, shellJob } from '../contract.ts'
import { makeRoot } from '../process.testing.ts'
import { type IsolationKind, processCluster } from '../process.ts'

const scripts = ['wrapper.ts', 'jail.ts']
  .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
  .join('\n')
/** The names in the text of the scripts that a shell could assign: `name=`, `for name in`, `read -r name …`. */
const assigned = [
  ...scripts.matchAll(/\b([A-Za-z_]\w*)=/g),
  ...scripts.matchAll(/\bfor (\w+) in/g),
  ...[...scripts.matchAll(/\bread -r ([\w ]+)/g)].flatMap(([, names = '']) => [...names.matchAll(/(\w+)/g)]),
].map(([, name = '']) => name)

const ofShells = ['/bin/sh', '/bin/bash']
  .filter((shell) => existsSync(shell))
  .flatMap((shell) => [
    ...execFileSync(shell, ['-c', 'set'], { encoding: 'utf8', env: {} }).matchAll(/^([A-Za-z_]\w*)=/gm),
  ])
  .map(([, name = '']) => name)
const special = [
  'program',
  'OPTARG',
  'OPTERR',
  'OPTIND',
  'LINENO',
  'RANDOM',
  'SECONDS',
  'PPID',
  'OLDPWD',
  'PWD',
  'SHLVL',
  '_',
]
/** The platform sets the first two itself, and the last ones lead the job to its programs. */
const platforms = /^(NEURALMESH_\w+|PATH|LD_\w+|MALLOC_\w+|GLIBC_\w+|POSIXLY_CORRECT)$/
const names = [...new Set([...assigned, ...ofShells, ...special])].filter((name) => !platforms.test(name)).sort()

const kinds: readonly IsolationKind[] = process.getuid?.() === 0 ? ['none', 'uid', 'root-namespaces'] : ['none']

test.each(kinds)(
  'no variable of a job is lost or changed: %s',
  async (kind) => {
    expect(names).toEqual(expect.arrayContaining(['place', 'path', 'folder', 'status', 'IFS']))
    const root = await makeRoot()
    const cluster = processCluster({ root, trust: 'own', only: kind, graceMs: 300 })
    const environment = Object.fromEntries(names.map((name) => [name, `the 'value'\nof ${name} `]))
    const watcher = recorder()
    const spec = { ...shellJob(''), environment, command: ['env', '-0'] }
    await cluster.launch(spec, watcher)
    const end = await watcher.end
    if ((await cluster.isolation()).kind === kind) {
      const printed = (await cluster.readLog(spec, 0, 1_000_000)).text
        .split('\0')
        .map((line) => line.split(/=(.*)/s, 2))
      const got = Object.fromEntries(printed.filter(([name = '']) => names.includes(name)))
      expect([end, got]).toEqual([{ ended: 'exited', exitCode: 0 }, environment])
    }
    await cluster.close({ stopJobs: true })
    await rm(root, { recursive: true })
  },
  60_000,
)
