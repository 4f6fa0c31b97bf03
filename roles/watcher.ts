import { watchDeposits } from '../processes/watch-deposits.ts'
import { pendingPayments } from '../projections/payments.ts'
import type { Platform } from './platform.ts'

/** Turns what the marketplace contract says into payments. */
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
