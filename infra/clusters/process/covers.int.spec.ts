// Files of the platform's user in folders that jobs see. Only root may put them there and be another user.
import { spawnSync } from 'node:child_process'
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { shellJob } from '../contract.ts'
import { folderOf, makeRoot } from '../process.testing.ts'
import type { IsolationKind } from '../process.ts'
import { coversOf } from './covers.ts'

const program = join(import.meta.dirname, '../../../testing/programs/cluster.ts')
const ordinaryUid = 44_444
const testAsRoot = process.getuid?.() === 0 ? test : test.skip
const hasBubblewrap = spawnSync('bwrap', ['--version']).status === 0
const leftOut = (kind: string) => (kind === 'bubblewrap' && !hasBubblewrap ? ' (left out: no bwrap is here)' : '')

/** Makes a folder with secrets and one open file. Returns those that the platform knows of. */
const fill = (folder: string, uid: number): string[] => {
  const put = (name: string, mode: number, text = 'secret') => {
    const path = join(folder, name)
    writeFileSync(path, text, { mode })
    if (name !== 'open') chownSync(path, uid, uid)
    return path
  }
  for (const name of ['real', 'closed', 'deep'])
    mkdirSync(join(folder, name), { mode: name === 'closed' ? 0o700 : 0o755 })
  chownSync(join(folder, 'closed'), uid, uid)
  put('open', 0o644, 'open')
  put('private key', 0o600)
  put('deep/of the group', 0o640)
  put('closed/file', 0o644)
  symlinkSync(put('real/behind a link', 0o644), join(folder, 'link'))
  symlinkSync('real', join(folder, 'linked'))
  return [put('given', 0o600), put(' with  spaces\nand lines\\ ', 0o644), join(folder, 'link'), join(folder, 'missing')]
}

const ways: readonly (readonly [IsolationKind, number])[] = [
  ['bubblewrap', ordinaryUid],
  ['user-namespaces', ordinaryUid],
  ['root-namespaces', 0],
]
for (const [kind, uid] of ways)
  for (const place of ['/opt', '/etc'])
    (leftOut(kind) === '' ? testAsRoot : test.skip)(
      `behind ${kind} a job sees no secret file of the platform in ${place}${leftOut(kind)}`,
      async () => {
        const root = await makeRoot()
        const folder = mkdtempSync(`${place}/neuralmesh test-`)
        try {
          chownSync(root, uid, uid)
          spawnSync('chmod', ['755', folder])
          const secretFiles = fill(folder, uid)
          const spec = shellJob(`find '${folder}' ! -type d -exec cat {} \\; ; cat '${folder}'/linked/*`)
          const as = { env: { PATH: process.env.PATH }, cwd: '/', ...(uid !== 0 && { uid, gid: uid }) }
          const run = spawnSync(process.execPath, [program, root, JSON.stringify(spec), kind, ...secretFiles], as)
          expect(String(run.stdout)).toContain('ended exited')
          const said = readFileSync(join(folderOf(root, spec), 'output.log'), 'utf8')
          expect(said).toContain('open')
          expect(said).not.toContain('secret')
        } finally {
          rmSync(folder, { recursive: true })
          rmSync(root, { recursive: true })
        }
      },
      60_000,
    )

test('what is hidden is covered wherever a job sees it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'neuralmesh-covers-'))
  try {
    const at = (...names: string[]) => join(folder, ...names)
    mkdirSync(at('usr/bin/data/keys'), { recursive: true })
    mkdirSync(at('else'))
    for (const name of ['usr/bin/.env', 'usr/bin/data/keys/jwt', 'else/file']) writeFileSync(at(name), '')
    symlinkSync('usr/bin', at('bin'))
    symlinkSync(at('usr/bin/.env'), at('else/link'))
    const shown = [at('usr'), at('bin'), at('missing')]
    const hidden = [
      at('else/link'),
      at('else/file'),
      at('bin/data'),
      at('usr/bin/data/keys/jwt'),
      at('usr/none'),
      at('usr'),
    ]
    const inBin = { folders: [at('usr/bin/data')], files: [at('usr/bin/.env')] }
    expect(coversOf(hidden, shown, false)).toEqual(inBin)
    expect(coversOf(hidden, shown, true)).toEqual({
      folders: [...inBin.folders, at('bin/data')],
      files: [...inBin.files, at('bin/.env')],
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
