import { type Money, money } from './money.ts'

/** Returns so many minor units of USDC: `usdc(1_000_000n)` is one USDC. */
export const usdc = (amount: bigint): Money => money(amount, 'USDC/6')

/** Returns so many cents. */
export const usd = (amount: bigint): Money => money(amount, 'USD/2')
