import { Gauge } from 'prom-client'
import { chart } from '../domain/ledger.ts'
import { missingOf, unaccountedOf, watchDeposits } from '../processes/watch-deposits.ts'
import { accountFigure } from '../projections/ledger-entries.ts'
import { countFinalPayments, pendingPayments } from '../projections/payments.ts'
import type { Platform } from './platform.ts'

/** Starts the watcher: it turns deposits to the marketplace contract into payments. */
export const startWatcher = (platform: Platform): void => {
  const { chain, chainCursor: cursor, rescans, commands, read, now, log, metrics, shutdown } = platform
  const { chainId, asset } = chain.description
  const missing = new Gauge({
    name: 'neuralmesh_custody_missing_units',
    help: 'How much less the marketplace contract owns than the ledger says, in minor units. Above 0 is an alarm.',
    registers: [metrics],
  })
  const unaccounted = new Gauge({
    name: 'neuralmesh_custody_unaccounted_units',
    help: 'How much more the marketplace contract owns than the ledger says, in minor units.',
    registers: [metrics],
  })
  const watching = watchDeposits({
    chain,
    cursor,
    rescans,
    commands,
    pendingPayments: async (block) => (await pendingPayments(read, block)).map(({ id }) => id),
    finalCount: (payer) => countFinalPayments(read, payer, chainId),
    ledgerCustody: () => accountFigure(read, chart.custody(chainId), asset),
    onCustody: (report) => {
      missing.set(Number(missingOf(report)))
      unaccounted.set(Number(unaccountedOf(report)))
    },
    now,
    log: log.child({ part: 'watcher' }),
    signal: shutdown.signal,
  })
  shutdown.add('watcher', () => watching)
}
