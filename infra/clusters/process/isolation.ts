import type { UidRange } from './uids.ts'

/** Whose jobs run on this machine: those of strangers, who must be isolated, or one's own alone. */
export type JobTrust = 'strangers' | 'own'

/** What trying something on this machine has shown: it works, or the reason why not. */
export type Trial = { readonly works: true } | { readonly works: false; readonly reason: string }

/** What this machine lets this program do to keep jobs apart. Each trial ran the real programs. */
export type Machine = {
  readonly root: boolean
  /** Namespaces made by `unshare`: as root, or in a user namespace. */
  readonly namespaces: Trial
  /** Namespaces made by `bwrap`, for an ordinary user. */
  readonly bubblewrap: Trial
  /** Running a program as another user, who reaches node and the folder of the jobs. */
  readonly otherUser: Trial
  /** User ids that no other user owns; undefined when there are none. */
  readonly uids: UidRange | undefined
}

/** How jobs are kept away from the platform and from each other.
 *  - `root-namespaces`: own process table, file tree and user id for each attempt.
 *  - `uid`: an own user id for each attempt; command lines stay visible.
 *  - `user-namespaces`, `bubblewrap`: own process table and file tree, within a user namespace of an ordinary user.
 *  - `none`: nothing; only for one's own jobs.
 *  - `refused`: nothing is possible, and jobs of strangers do not run. */
export type Isolation =
  | { readonly kind: 'root-namespaces' | 'uid'; readonly uids: UidRange }
  | { readonly kind: 'user-namespaces' | 'bubblewrap' }
  | { readonly kind: 'none' | 'refused'; readonly reasons: readonly string[] }

/** A way to run one attempt. */
export type IsolationKind = Exclude<Isolation['kind'], 'refused'>

const reasonsOf = (trials: Readonly<Record<string, Trial>>): string[] =>
  Object.entries(trials).flatMap(([name, trial]) => (trial.works ? [] : [`${name}: ${trial.reason}`]))

/** Decides how jobs are isolated: the strongest way that the machine allows. Without any, jobs run only where trust is
 *  `own`. Pure. */
export const decideIsolation = (machine: Machine, trust: JobTrust): Isolation => {
  const { root, namespaces, bubblewrap, otherUser, uids } = machine
  if (root && uids && namespaces.works) return { kind: 'root-namespaces', uids }
  if (root && uids && otherUser.works) return { kind: 'uid', uids }
  if (!root && bubblewrap.works) return { kind: 'bubblewrap' }
  if (!root && namespaces.works) return { kind: 'user-namespaces' }
  const reasons = root
    ? [...(uids ? [] : ['user ids: none is free']), ...reasonsOf({ unshare: namespaces, setpriv: otherUser })]
    : reasonsOf({ bwrap: bubblewrap, unshare: namespaces })
  return { kind: trust === 'own' ? 'none' : 'refused', reasons }
}

const sentences: Readonly<Record<Isolation['kind'], string>> = {
  'root-namespaces': 'each job has its own user id, processes and files',
  uid: 'each job has its own user id; command lines of other processes stay visible to it',
  'user-namespaces': 'each job has its own processes and files, in a user namespace',
  bubblewrap: 'each job has its own processes and files, by bubblewrap',
  none: 'jobs are not isolated, because only your own run here (JOB_TRUST=own)',
  refused: 'jobs are refused: nothing on this machine isolates them. Where only your own jobs run, set JOB_TRUST=own',
}

/** Returns what is in force, as a sentence for the log. */
export const describeIsolation = ({ kind }: Isolation): string => sentences[kind]
