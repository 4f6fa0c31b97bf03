import { defineEntity, type InferEntity, p } from '@mikro-orm/postgresql'
import type { Asset } from '../domain/money.ts'
import type { State } from '../domain/payment.ts'
import { amount, key, moment, readSchema, safeInteger, stamps } from './engine/table.ts'

export type PaymentStatus = Exclude<State['status'], 'none'>

/** Deposits on chain. The block and the transaction are those of the last observation; `observedAt` is the time of the
 *  first. */
export const paymentsTable = defineEntity({
  name: 'Payment',
  tableName: 'payments',
  schema: readSchema,
  properties: {
    id: key().primary(),
    user: key(),
    status: p.text().$type<PaymentStatus>(),
    amount: amount(),
    asset: p.text().$type<Asset>(),
    chainId: safeInteger(),
    transactionHash: key(),
    blockNumber: p.bigint('bigint'),
    blockHash: key(),
    observedAt: moment(),
    finalizedAt: moment().strictNullable(),
    ...stamps(),
  },
  indexes: [
    { properties: ['user', 'observedAt', 'id'] },
    { properties: ['status', 'blockNumber', 'id'] },
    { properties: ['transactionHash', 'observedAt', 'id'] },
  ],
})
export type PaymentRow = InferEntity<typeof paymentsTable>
