import { withPeer } from './peer.ts'
import type { Outcome, Task } from './task.ts'

export const contestant = ({ url }: Task): Promise<Outcome> => withPeer(url, async () => ({}))
