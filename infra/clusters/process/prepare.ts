import { realpath } from 'node:fs/promises'
import { sep } from 'node:path'
import { closeToOthers, ownUser, privatePathsIn, secretFilesIn } from '../../system/secret-files.ts'
import { leftover } from './attempts.ts'
import { type Delegation, findDelegation, noDelegation } from './delegation.ts'
import { prepareRoot } from './folder.ts'
import type { ClusterLog } from './follow.ts'
import { removeIpcOfEnded } from './ipc.ts'
import { decideIsolation, type Isolation, type IsolationKind, type JobTrust } from './isolation.ts'
import { sharedFolders } from './jail.ts'
import { type Limits, probeLimits } from './limits.ts'
import { lookAtMachine } from './machine.ts'

/** A machine that is ready for jobs. `root` has no link in it. */
export type PreparedMachine = {
  readonly root: string
  readonly limits: Limits
  readonly isolation: Isolation
  /** The control groups that attempts may have. */
  readonly groups: Delegation
  /** Resolves to the folders and files that jobs do not see where they have a file tree of their own. */
  covered(): Promise<readonly string[]>
}

/** Makes the folder of all attempts, finds out how this machine isolates jobs, and keeps secret files from them. Throws
 *  DATA_FOLDER_UNREACHABLE, and CONFIG_INVALID for a secret file that cannot be closed. */
export const prepareMachine = async (options: {
  readonly root: string
  readonly trust: JobTrust
  readonly only: IsolationKind | undefined
  readonly withoutGroups: boolean
  readonly hidden: readonly string[]
  readonly secretFiles: readonly string[]
  readonly log: ClusterLog
}): Promise<PreparedMachine> => {
  const { trust, only, withoutGroups, hidden, secretFiles, log } = options
  await prepareRoot(options.root)
  // Processes carry the folder's path in their environment, so it must be the same whatever links lead here.
  const root = await realpath(options.root)
  const [limits, machine, groups] = await Promise.all([
    probeLimits(),
    lookAtMachine(root, only),
    withoutGroups ? noDelegation('left out') : findDelegation(root),
  ])
  const isolation = decideIsolation(machine, trust)
  // Behind the other walls a job has another file tree, without the hidden folders.
  const seesAll = isolation.kind === 'uid' || isolation.kind === 'none'
  const isHidden = (file: string) => hidden.some((folder) => file.startsWith(folder + sep))
  const files = seesAll
    ? [...secretFiles, ...(await secretFilesIn(hidden))]
    : secretFiles.filter((file) => 'uids' in isolation && !isHidden(file))
  for (const file of await closeToOthers(files)) log.warn({ file }, 'other users could read this file; now they cannot')
  if (isolation.kind === 'uid')
    await removeIpcOfEnded(isolation.uids).catch((error: unknown) => log.warn({ err: error }, leftover))
  // Behind these walls a job is the user of this program.
  const isSameUser = isolation.kind === 'bubblewrap' || isolation.kind === 'user-namespaces'
  const own = isSameUser ? await privatePathsIn(sharedFolders, ownUser()) : { paths: [], complete: true }
  if (!own.complete)
    log.warn({ folders: sharedFolders }, 'not all of these is searched for files that jobs must not see')
  // A file of settings may be made anew while this program runs.
  const covered = async () => [root, ...hidden, ...secretFiles, ...own.paths, ...(await secretFilesIn(hidden))]
  return { root, limits, isolation, groups, covered }
}
