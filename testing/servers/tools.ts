// Packages that single tests need and the product does not: heavy ones, in their own package, installed on first use.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { sleep } from '../../infra/async/sleep.ts'

const folder = join(import.meta.dirname, '../tools')
const installed = join(folder, 'node_modules')
/** Within node_modules: the checksum of the lock file that it was installed by. */
const stamp = '.installed'
const installMsMax = 600_000

const checksumOf = async (): Promise<string> =>
  createHash('sha256')
    .update(await readFile(join(folder, 'package-lock.json')))
    .digest('hex')

const isInstalled = async (checksum: string): Promise<boolean> =>
  (await readFile(join(installed, stamp), 'utf8').catch(() => '')) === checksum

const runNpm = (into: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const npm = spawn('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', into], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: installMsMax,
    })
    let printed = ''
    const collect = (text: Buffer) => {
      printed = `${printed}${text}`.slice(0, 2_000)
    }
    npm.stdout.on('data', collect)
    npm.stderr.on('data', collect)
    npm.on('error', reject)
    npm.on('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`npm ci in testing/tools ended with ${code}:\n${printed}`)),
    )
  })

/** Installs into a folder beside, and moves it into place as a whole, so that a kill leaves no half installation. */
const install = async (checksum: string): Promise<void> => {
  const beside = await mkdtemp(join(folder, '.installing-'))
  try {
    for (const name of ['package.json', 'package-lock.json']) await cp(join(folder, name), join(beside, name))
    await runNpm(beside)
    await writeFile(join(beside, 'node_modules', stamp), checksum)
    await rename(installed, join(beside, 'before')).catch(() => undefined)
    await rename(join(beside, 'node_modules'), installed)
  } finally {
    await rm(beside, { recursive: true, force: true })
  }
}

const lock = join(folder, '.installing-lock')
/** The process that holds the lock touches it every second; another one takes it over when it is older than this. */
const lockSilentMsMax = 10_000

const lockIsSilent = async (): Promise<boolean> => {
  const held = await stat(lock).catch(() => undefined)
  return held !== undefined && Date.now() - held.mtimeMs > lockSilentMsMax
}

/** Runs the work when no other process does the same. Else waits a moment, and resolves to false. */
const runAloneOrWait = async (work: () => Promise<void>): Promise<boolean> => {
  const held = await writeFile(lock, `${process.pid}`, { flag: 'wx' }).then(
    () => true,
    () => false,
  )
  if (!held) {
    if (await lockIsSilent()) await rm(lock, { force: true })
    await sleep(200)
    return false
  }
  const alive = setInterval(() => void writeFile(lock, `${process.pid}`), 1_000)
  try {
    await work()
  } finally {
    clearInterval(alive)
    await rm(lock, { force: true })
  }
  return true
}

const ensureInstalled = async (): Promise<void> => {
  const checksum = await checksumOf()
  for (let announced = false; !(await isInstalled(checksum)); announced = true) {
    if (!announced)
      process.stderr.write('Installing the tools of single tests under testing/tools (once, about 120 MB) …\n')
    await runAloneOrWait(async () => {
      if (!(await isInstalled(checksum))) await install(checksum)
    })
  }
}

let ready: Promise<void> | undefined

/** Imports a package of testing/tools/package.json, after installing them all when this is the first time here. Safe in
 *  several processes at once. Throws when npm fails, with the output of npm.
 *  @param name the package, as an import names it. */
export const importTool = async (name: string): Promise<unknown> => {
  ready ??= ensureInstalled().catch((error: unknown) => {
    ready = undefined
    throw error
  })
  await ready
  const path = createRequire(join(folder, 'package.json')).resolve(name)
  return import(pathToFileURL(path).href)
}
