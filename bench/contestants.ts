/** All contestants, each a function from a task to its outcome. Each is loaded in its own process (see contestant.ts):
 *  two names of the same file are two processes. */
export const contestants = {
  'append/ours': () => import('./append/ours.ts'),
  'append/peer': () => import('./append/peer.ts'),
  'append/insert': () => import('./append/insert.ts'),
  'append/copy': () => import('./append/copy.ts'),
  'load/ours': () => import('./load/ours.ts'),
  'load/peer': () => import('./load/peer.ts'),
  'load/limit': () => import('./load/limit.ts'),
  'catch-up/ours': () => import('./catch-up/ours.ts'),
  'catch-up/peer': () => import('./catch-up/peer.ts'),
  'catch-up/limit': () => import('./catch-up/limit.ts'),
  'project/ours': () => import('./project/ours.ts'),
  'project/peer': () => import('./project/peer.ts'),
  'project/limit': () => import('./project/limit.ts'),
  'tail/ours': () => import('./tail/ours.ts'),
  'tail/ours-follow': () => import('./tail/ours.ts'),
  'tail/peer': () => import('./tail/peer.ts'),
  'tail/peer-follow': () => import('./tail/peer.ts'),
  'tail/limit': () => import('./tail/limit.ts'),
  'tail/limit-follow': () => import('./tail/limit.ts'),
  'growth/large': () => import('./append/ours.ts'),
  'growth/small': () => import('./append/ours.ts'),
  'hot/long': () => import('./hot/ours.ts'),
  'hot/short': () => import('./hot/ours.ts'),
  'peer/migrate': () => import('./peer-migrate.ts'),
} as const

export type ContestantName = keyof typeof contestants
