// What the platform was started with, and has open by no name, reaches no job.
import { spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { eventually } from '../../../testing/eventually.ts'
import { recorder, shellJob } from '../contract.ts'
import { kill, makeRoot } from '../process.testing.ts'
import { type IsolationKind, processCluster } from '../process.ts'

const project = join(import.meta.dirname, '../../..')
const numbers = [3, 9, 30, 251]
/** How long the platform may take to begin on a busy machine. */
const startMsMax = 60_000
const kinds = ['none', 'root-namespaces', 'uid', 'user-namespaces', 'bubblewrap'] as const
const withSecret = async <Value>(
  work: (root: string, secret: string, stdio: ('pipe' | 'ignore' | number)[]) => Value,
) => {
  const root = await makeRoot()
  const secret = join(root, 'secret')
  writeFileSync(secret, 'the secret of the platform', { mode: 0o600 })
  const opened = numbers.map(() => openSync(secret, 'r'))
  const stdio = Array.from({ length: Math.max(...numbers) + 1 }, (_, number) => {
    const at = numbers.indexOf(number)
    return at < 0 ? (number < 3 ? 'pipe' : 'ignore') : (opened[at] ?? 'ignore')
  })
  try {
    return await work(root, secret, stdio)
  } finally {
    for (const file of opened) closeSync(file)
    rmSync(root, { recursive: true })
  }
}

const closesThem = () =>
  withSecret(async (root, secret, stdio) => {
    const env = { PATH: process.env.PATH ?? '', DATA_DIR: join(root, 'data'), PORT: '0', CHAIN_PORT: '0' }
    const child = spawn(process.execPath, [join(project, 'main.ts')], { cwd: root, env, stdio })
    const open = () => {
      const folder = `/proc/${child.pid}/fd`
      return readdirSync(folder).filter((number) => {
        try {
          return readlinkSync(join(folder, number)) === secret
        } catch {
          return false
        }
      })
    }
    // Node itself closes none, so that 30 and 251 are open at first.
    expect(open().length).toBeGreaterThan(0)
    await eventually('they are closed', () => !open().some((number) => Number(number) >= 16), startMsMax)
    await kill(child)
  })
test('the platform closes them before anything else', closesThem, startMsMax + 10_000)

test.each(kinds)('no job can read them: %s', (kind) =>
  withSecret(async (root, secret, stdio) => {
    const look = processCluster({ root, only: kind as IsolationKind, trust: 'own' })
    const possible = (await look.isolation()).kind === kind
    await look.close({ stopJobs: true })
    if (!possible) return
    const spec = shellJob(
      'for n in /proc/self/fd/*; do echo "$n $(readlink $n)"; [ ! -f $n ] || cat <$n; done 2> /dev/null; echo done',
    )
    const words = [join(project, 'testing/programs/cluster.ts'), root, JSON.stringify(spec), kind]
    const child = spawn(process.execPath, words, { stdio })
    let printed = ''
    child.stdout?.on('data', (text) => {
      printed += text
    })
    await eventually('it is over', () => printed.includes('ended'))
    await kill(child)
    const cluster = processCluster({ root, only: kind as IsolationKind, trust: 'own' })
    await cluster.launch(spec, recorder())
    const { text } = await cluster.readLog(spec, 0, 10_000)
    expect(text).toContain('done')
    expect(text).not.toContain('secret')
    expect(text).not.toContain(secret)
    await cluster.close({ stopJobs: true })
  }),
)
