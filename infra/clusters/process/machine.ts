/** Tries what this machine allows, with the words that attempts really run under. */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, lchown, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { within } from '../../async/within.ts'
import { makeFolders } from '../../system/files.ts'
import { allPids, userOf } from '../../system/processes.ts'
import { machinePath } from '../../system/shell.ts'
import { trialsName } from './folder.ts'
import type { IsolationKind, Machine, Trial } from './isolation.ts'
import { homeOf, jailWords } from './jail.ts'
import { killUser } from './kill-user.ts'
import { claimUid, findUidRange, releaseUid } from './uids.ts'

const trialMsMax = 10_000
/** How often a trial is made that does not end in time: a busy machine proves nothing. */
const trialsMax = 3
const trialMemoryMib = 64
/** How long the process lives that is killed: longer than that may take. */
const sleepSeconds = 600
const reasonCharactersMax = 200

/** Runs a command, again where it does not end in time. Resolves to a trial whose reason is the last line that it
 *  printed. */
const tryCommand = async (command: readonly string[], triesLeft = trialsMax): Promise<Trial> => {
  const [file = '', ...args] = command
  const child = spawn(file, args, {
    cwd: '/',
    env: { PATH: machinePath },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    timeout: trialMsMax,
    killSignal: 'SIGKILL',
  })
  const failed = new Promise<string>((resolve) => child.once('error', (error) => resolve(error.message)))
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)))
  const [, errors, steps] = child.stdio.slice(1)
  const printed = Promise.all([errors, steps].map((stream) => text(stream as NodeJS.ReadableStream)))
  const status = await Promise.race([ended, failed])
  if (status === 0) return { works: true }
  if (typeof status === 'string') return { works: false, reason: status }
  if (child.killed) {
    if (triesLeft > 1) return tryCommand(command, triesLeft - 1)
    return { works: false, reason: `it did not end within ${trialMsMax / 1000} s, ${trialsMax} times` }
  }
  const lines = (await printed).join('\n').trim().split('\n')
  return { works: false, reason: (lines.at(-1) || `it ended with ${status}`).slice(0, reasonCharactersMax) }
}

/** Resolves to whether all processes of a user can be killed, where one can be started at all. Linux reports no error for
 *  processes that a security module has spared, so one is started.
 *  @param words run a command as the user. */
const tryUser = async (
  started: Trial,
  uid: number,
  words: readonly string[],
  triesLeft = trialsMax,
): Promise<Trial> => {
  if (!started.works) return started
  const [file = '', ...args] = [...words, '/bin/sh', '-c', `echo; exec sleep ${sleepSeconds}`]
  const child = spawn(file, args, { cwd: '/', env: { PATH: machinePath }, stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = new Promise<unknown>((resolve) => {
    child.once('error', resolve)
    child.once('close', (_, signal) => resolve(signal))
  })
  try {
    // Without descriptors Node starts nothing, and there is no channel either.
    await Promise.race([new Promise((resolve) => child.stdout?.once('data', resolve)), ended])
    const failed = await killUser(uid)
    const end = failed ?? (await within(ended, trialMsMax, () => 'nothing'))
    if (end === 'SIGKILL') return started
    if (triesLeft > 1) return await tryUser(started, uid, words, triesLeft - 1)
    return { works: false, reason: `its processes cannot be killed: ${failed ?? `one has ended with ${end}`}` }
  } finally {
    child.kill('SIGKILL')
  }
}

/** Finds out what this machine allows for jobs below `root`. `only` leaves out all ways but one. */
export const lookAtMachine = async (root: string, only: IsolationKind | undefined): Promise<Machine> => {
  const asRoot = process.getuid?.() === 0
  const uids = asRoot ? await findUidRange() : undefined
  const uid = uids && (await claimUid(root, uids, new Set(allPids().flatMap((pid) => userOf(pid) ?? []))))
  const folder = join(root, trialsName, `${process.pid}-${randomUUID()}`)
  const work = join(folder, 'work')
  const words = (kind: IsolationKind) =>
    jailWords({ kind, folder, uid, memoryMib: trialMemoryMib, hidden: [root] }, existsSync)
  const attempt = async (kind: IsolationKind, ...command: string[]): Promise<Trial> => {
    if (only !== undefined && only !== kind) return { works: false, reason: `only ${only} was asked for` }
    return tryCommand([...words(kind), ...command])
  }
  try {
    for (const path of [work, join(folder, 'tmp'), join(folder, 'jail')]) await makeFolders(path)
    await chmod(folder, 0o711)
    if (uid !== undefined) await lchown(work, uid, uid)
    const writeIn = (home: string) => ['/bin/sh', '-c', 'touch "$0/trial" && [ -d /proc/self ]', home]
    if (!asRoot)
      return {
        root: false,
        uids,
        otherUser: { works: false, reason: 'only root may' },
        bubblewrap: await attempt('bubblewrap', ...writeIn(homeOf('bubblewrap', folder))),
        namespaces: await attempt('user-namespaces', ...writeIn(homeOf('user-namespaces', folder))),
      }
    const reach = ['/bin/sh', '-c', 'touch "$0/trial" && cd "$1" && ./node --version', work, dirname(process.execPath)]
    const none: Trial = { works: false, reason: 'no user id is free' }
    const namespaces = uids ? await attempt('root-namespaces', ...writeIn(homeOf('root-namespaces', folder))) : none
    const started = uids ? await attempt('uid', ...reach) : none
    return {
      root: true,
      uids,
      bubblewrap: { works: false, reason: 'not needed as root' },
      namespaces,
      otherUser: uid === undefined || namespaces.works ? started : await tryUser(started, uid, words('uid')),
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
    if (uid !== undefined) await releaseUid(root, uid)
  }
}
