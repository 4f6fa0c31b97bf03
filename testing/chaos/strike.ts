import { createRandom, pick } from '../random.ts'
import type { Fleet } from './fleet.ts'
import { connectionsAmong, serverProcesses } from './postgres-processes.ts'
import { type Kill, type KillKind, processKinds } from './schedule.ts'
import type { World } from './world.ts'

/** The share of the cuts that break all connections to the event store at once. */
const allShare = 0.25

type Struck = { readonly world: Pick<World, 'server' | 'log' | 'nodes' | 'relay'>; readonly fleet: Pick<Fleet, 'kill'> }

/** Kills. Resolves to false when there was nothing to kill. */
export const strike = async ({ kind, choice }: Pick<Kill, 'kind' | 'choice'>, struck: Struck): Promise<boolean> => {
  const { nodes, relay } = struck.world
  const random = createRandom(Math.floor(choice * 2 ** 31))
  const together = async (other: KillKind) => {
    const both = [strike({ kind: 'node', choice: random() }, struck), strike({ kind: other, choice: random() }, struck)]
    return (await Promise.all(both)).includes(true)
  }
  switch (kind) {
    case 'connection':
    case 'backend':
    case 'postmaster':
      return strikePostgres(kind, choice, struck.world)
    case 'leader':
    case 'follower':
    case 'node':
      return nodes?.kill(kind, choice) ?? false
    case 'store connection':
      return relay?.cut(random() < allShare ? 'all' : random()) ?? false
    case 'node and process':
      return together(pick(random, processKinds))
    case 'node and postmaster':
      return together('postmaster')
    default:
      return struck.fleet.kill(kind, choice)
  }
}

const strikePostgres = async (
  kind: 'connection' | 'backend' | 'postmaster',
  choice: number,
  { server, log }: Struck['world'],
): Promise<boolean> => {
  const postmaster = server.pid()
  if (postmaster === undefined) return false
  const children = kind === 'postmaster' ? [] : await serverProcesses(postmaster)
  const candidates = kind === 'connection' ? connectionsAmong(children) : children
  const victim =
    kind === 'postmaster'
      ? { pid: postmaster, title: 'postmaster' }
      : candidates[Math.floor(choice * candidates.length)]
  if (!victim) return false
  log.info({ kind, victim }, 'killing')
  try {
    process.kill(victim.pid, kind === 'connection' ? 'SIGTERM' : 'SIGKILL')
    return true
  } catch {
    return false // it ended in between
  }
}
