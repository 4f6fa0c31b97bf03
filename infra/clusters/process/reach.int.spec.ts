// A job that runs on reaches no file of the platform: neither while its folder is removed, nor by what others have open.
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import type { IsolationKind } from '../process.ts'

const program = join(import.meta.dirname, '../../../testing/programs/reach.ts')
const runMsMax = 120_000
const ordinaryUid = 44_444
const asRoot = process.getuid?.() === 0
const ways: readonly { readonly kind: IsolationKind; readonly uid: number | undefined }[] = [
  ...(asRoot ? (['root-namespaces', 'uid'] as const).map((kind) => ({ kind, uid: undefined })) : []),
  ...(['user-namespaces', 'bubblewrap', 'none'] as const).map((kind) => ({
    kind,
    uid: asRoot ? ordinaryUid : undefined,
  })),
]

let folder = ''
const makeFolder = (uid: number | undefined) => {
  folder = mkdtempSync(join(tmpdir(), 'neuralmesh-reach-'))
  chmodSync(folder, 0o755)
  if (uid !== undefined) chownSync(folder, uid, uid)
}
/** Returns what the program prints, a value for each line. */
const run = (kind: IsolationKind, uid: number | undefined, what: string): readonly unknown[] => {
  const { stdout } = spawnSync(process.execPath, [program, folder, kind, what], {
    ...{ env: { PATH: process.env.PATH ?? '' }, cwd: '/', timeout: runMsMax },
    ...(uid !== undefined && { uid, gid: uid }),
  })
  return String(stdout)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

for (const { kind, uid } of ways) {
  makeFolder(uid)
  const [{ isolation, reasons }] = run(kind, uid, 'look') as [{ isolation: string; reasons: string }]
  rmSync(folder, { recursive: true })
  const isPossible = isolation === kind
  const register = isPossible ? describe : describe.skip
  register(`behind ${kind}${isPossible ? '' : ` (not possible here: ${reasons})`}`, () => {
    beforeEach(() => makeFolder(uid))
    afterEach(() => rmSync(folder, { recursive: true }))

    test('files that change into links while they are removed lead the platform to no other file', () => {
      const [, result] = run(kind, uid, 'swaps')
      expect(result).toMatchObject({ modes: ['600', '700', '500'], text: 'the key', kept: ['kept'] })
      const { left } = result as { left: string[] }
      for (const name of ['work', 'tmp', 'jail']) expect(left).not.toContain(name)
    }, 120_000)

    // Where nothing isolates jobs, they may write to all files of the user.
    if (kind !== 'none')
      test('no descriptor that a job sees leads to a file of the platform, and none to its own verdict', () => {
        const [, result] = run(kind, uid, 'descriptors')
        expect(result).toEqual({ text: 'looked\n', outcome: { ended: 'exited', exitCode: 0 }, missing: 0 })
      }, 120_000)
  })
}
