import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

const folder = import.meta.dirname
const hint = 'without the peer: --without-peer'

const versionsIn = async (path: string): Promise<string | undefined> => {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const { packages } = JSON.parse(text) as { packages: Readonly<Record<string, { version?: string }>> }
  const versions = Object.entries(packages).map(([name, { version }]) => `${name} ${version}`)
  return JSON.stringify(versions.filter((line) => line.startsWith('node_modules/')).toSorted())
}

/** Installs the packages of the peer into bench/node_modules when they differ from the lock file. They are no part
 *  of the product and run in separate processes. Throws when npm cannot. */
export const installPeers = async (progress: (line: string) => void, signal: AbortSignal): Promise<void> => {
  const wanted = await versionsIn(join(folder, 'package-lock.json'))
  if (wanted !== undefined && wanted === (await versionsIn(join(folder, 'node_modules', '.package-lock.json')))) return
  progress('installing the packages of the peer into bench/node_modules (once) …')
  const begun = performance.now()
  // The variables that npm sets for its scripts name the project above, and npm would install there.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(config_local_prefix|package_)/i.test(name)),
  )
  const npm = spawn('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: folder,
    env,
    signal,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  for (const output of [npm.stdout, npm.stderr]) output.on('data', (chunk: Buffer) => (printed += String(chunk)))
  const [code] = (await once(npm, 'close').catch((error: unknown) => {
    throw new Error(`npm was not started: ${(error as Error).message} (${hint})`)
  })) as [number | null]
  if (code !== 0) throw new Error(`npm ci in bench/ ended with ${code} (${hint}): ${printed.trim()}`)
  progress(`installed in ${((performance.now() - begun) / 1000).toFixed(1)} s`)
}
