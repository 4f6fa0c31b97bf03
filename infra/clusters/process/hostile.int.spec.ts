// Runs the hostile jobs of testing/programs/hostile.ts behind each kind of walls that this machine allows, as root and as
// an ordinary user. The user is one without a name, who may read the project but own nothing in it.
import { spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { chown } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { Report } from '../../../testing/programs/hostile.ts'
import { outputBytesMax, quickAttacks, slowAttacks } from '../../../testing/programs/hostile-attacks.ts'
import { memoryAttacks } from '../../../testing/programs/hostile-memory.ts'
import { watchAttacks } from '../../../testing/programs/hostile-watches.ts'
import { sleep } from '../../async/sleep.ts'
import { readProcessFile } from '../../system/processes.ts'
import { endJobsIn } from '../process.testing.ts'
import type { IsolationKind } from '../process.ts'

const program = join(import.meta.dirname, '../../../testing/programs/hostile.ts')
const attacks = [...quickAttacks, ...slowAttacks, ...watchAttacks]
/** Its own in each run: a job may find what another run on this machine has not closed yet. */
const secret = `hostile-${randomUUID()}`
const ordinaryUid = 44_444
const asRoot = process.getuid?.() === 0
const runMsMax = 300_000
/** When the program is asked what it waits for, and how long it has for the answer: then it is ended. */
const askMs = 250_000
const answerMs = 10_000

const ways: readonly { readonly kind: IsolationKind; readonly uid: number | undefined }[] = asRoot
  ? [
      { kind: 'root-namespaces', uid: undefined },
      { kind: 'uid', uid: undefined },
      { kind: 'user-namespaces', uid: ordinaryUid },
      { kind: 'bubblewrap', uid: ordinaryUid },
    ]
  : [
      { kind: 'user-namespaces', uid: undefined },
      { kind: 'bubblewrap', uid: undefined },
    ]

const makeFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), 'neuralmesh-hostile-'))
  chmodSync(folder, 0o755)
  return folder
}
const optionsOf = (uid: number | undefined) => ({
  env: { PATH: process.env.PATH ?? '', SECRET_OF_THE_PLATFORM: secret },
  cwd: '/',
  ...(uid !== undefined && { uid, gid: uid }),
})

/** Returns why these walls are not possible here; undefined when they are. */
const missing = (kind: IsolationKind, uid: number | undefined): string | undefined => {
  const folder = makeFolder()
  try {
    if (uid !== undefined) spawnSync('chown', [String(uid), folder])
    const { stdout, stderr } = spawnSync(process.execPath, [program, folder, kind, 'look'], optionsOf(uid))
    const line = String(stdout).trim()
    if (line === '') return String(stderr).trim().split('\n').at(-1) ?? 'it did not start'
    const { isolation, reasons } = JSON.parse(line) as { isolation: string; reasons: string }
    return isolation === kind ? undefined : reasons
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Runs the program to its end. Resolves to what it prints; throws where it fails or does not end, with its errors. */
const runProgram = async (words: readonly string[], uid: number | undefined): Promise<string> => {
  const child = spawn(process.execPath, [program, ...words], { ...optionsOf(uid), stdio: ['ignore', 'pipe', 'pipe'] })
  const [printed, said] = [text(child.stdout), text(child.stderr)]
  const ended = once(child, 'exit')
  const over = new AbortController()
  let shown = ''
  void (async () => {
    await sleep(askMs, over.signal)
    if (over.signal.aborted) return
    child.kill('SIGUSR2')
    await sleep(answerMs, over.signal)
    const files = ['status', 'wchan', 'syscall', 'stack']
    shown = files.map((name) => readProcessFile(child.pid ?? 0, name)).join('\n')
    child.kill('SIGKILL')
  })()
  const [code, signal] = await ended
  over.abort()
  if (code !== 0) throw new Error(`It ended with ${code ?? signal}: ${await said}\n${await printed}\n${shown}`)
  return printed
}

for (const { kind, uid } of ways) {
  const why = missing(kind, uid)
  const register = why === undefined ? describe : describe.skip
  register(`hostile jobs behind ${kind}${why === undefined ? '' : ` (not possible here: ${why})`}`, () => {
    const reports = new Map<string, Report>()
    let end: { carrierRuns: boolean; victimRuns: boolean } | undefined
    let folder: string | undefined

    beforeAll(async () => {
      folder = makeFolder()
      if (uid !== undefined) await chown(folder, uid, uid)
      const printed = await runProgram([folder, kind], uid)
      for (const line of printed.trim().split('\n')) {
        const report = JSON.parse(line)
        if ('name' in report) reports.set(report.name, report)
        if ('carrierRuns' in report) end = report
      }
    }, runMsMax)
    afterAll(async () => {
      if (!folder) return
      await endJobsIn(join(folder, 'data', 'jobs'))
      rmSync(folder, { recursive: true })
    })

    for (const attack of [...attacks, ...memoryAttacks(kind)]) {
      const { name, leftOut } = attack
      const testHere = leftOut ? test.skip : test
      testHere(`${name}${leftOut ? ` (left out: ${leftOut})` : ''}`, () => {
        const report = reports.get(name)
        expect(report).toMatchObject({ left: 0, victimRuns: true, secretShown: false })
        if (attack.ends) expect(report?.outcome).toMatchObject(attack.ends)
        if (!attack.notPromised?.includes(kind)) expect(report?.text).not.toContain('BREACH')
        if (report?.outcome.ended === 'exited' && report.outcome.exitCode === 0) expect(report.text).toContain('done')
        expect(report?.logBytes).toBeLessThanOrEqual(outputBytesMax)
        if (report?.outcome.ended === 'failed') expect(report.outcome.message.length).toBeLessThan(500)
      })
    }

    test('a job that carries the folder of another one does not end with it', () =>
      expect(end).toEqual({ carrierRuns: true, victimRuns: false }))
  })
}
