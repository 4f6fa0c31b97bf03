import { watchDeposits } from '../processes/watch-deposits.ts'
import { pendingPayments } from '../projections/payments.ts'
import type { Platform } from './platform.ts'

/** Starts the watcher: it turns deposits to the marketplace contract into payments. */
export const startWatcher = ({ chain, chainCursor: cursor, commands, read, now, log, shutdown }: Platform): void => {
  const watching = watchDeposits({
    chain,
    cursor,
    commands,
    pendingPayments: async (block) => (await pendingPayments(read, block)).map(({ id }) => id),
    now,
    log: log.child({ part: 'watcher' }),
    signal: shutdown.signal,
  })
  shutdown.add('watcher', () => watching)
}
