// The columns of a replay in PostgreSQL: their types, and their values in both directions.
import type { Column } from '../../analysis/replay.ts'
import { decimalsOf, formatAmount, type Money, money as moneyOf } from '../../domain/money.ts'

/** As many as the read models hold: sums of amounts of 78 digits. */
const digitsOfMoneyMax = 97

/** Returns the type of a column in PostgreSQL, with its constraint. */
export const sqlTypeOf = ({ kind, asset, nullable }: Column): string => {
  const optional = nullable ? '' : ' not null'
  switch (kind) {
    case 'text':
      return `text collate "C"${optional}`
    case 'integer':
      return `bigint${optional}`
    case 'moment':
      return `timestamptz(3)${optional}`
    case 'money':
      return `numeric(${digitsOfMoneyMax + decimalsOf(asset ?? 'USD/2')},${decimalsOf(asset ?? 'USD/2')})${optional}`
  }
}

/** Returns what a column takes, in words for an error message. */
export const takenBy = ({ kind, asset, nullable }: Column): string => {
  const takes = {
    text: 'text without NUL',
    integer: 'a bigint of up to 64 bits',
    moment: 'a moment, ISO 8601 in UTC',
    money: `Money of ${asset}`,
  }[kind]
  return nullable ? `${takes}, or null` : takes
}

const isMoney = (value: unknown): value is Money =>
  typeof value === 'object' &&
  value !== null &&
  'asset' in value &&
  'amount' in value &&
  typeof value.amount === 'bigint'

const integerMax = 2n ** 63n - 1n
const amountMax = 10n ** BigInt(digitsOfMoneyMax)

/** Returns the value as it will be read back (moments in one form), or undefined when the column does not take it. */
export const normalize = ({ kind, asset, nullable }: Column, value: unknown): unknown => {
  if (value === null) return nullable ? null : undefined
  switch (kind) {
    case 'text':
      return typeof value === 'string' && value.isWellFormed() && !value.includes('\0') ? value : undefined
    case 'integer':
      return typeof value === 'bigint' && value <= integerMax && value >= -integerMax ? value : undefined
    case 'moment': {
      const parsed = typeof value === 'string' && /^\d{4}-.*Z$/.test(value) ? new Date(value) : undefined
      return parsed && !Number.isNaN(parsed.getTime()) ? parsed.toISOString() : undefined
    }
    case 'money':
      return isMoney(value) && value.asset === asset && value.amount < amountMax && value.amount > -amountMax
        ? value
        : undefined
  }
}

/** Returns a normalized value as PostgreSQL reads it within JSON. */
export const encode = ({ kind }: Column, value: unknown): string | null => {
  if (value === null) return null
  return kind === 'money' ? formatAmount(value as Money) : String(value)
}

/** Returns the value of a column from the database, where numeric comes as text. */
export const decode = ({ kind, asset }: Column, value: unknown): unknown => {
  if (value === null) return null
  if (kind === 'integer') return BigInt(String(value))
  if (kind === 'moment') return new Date(String(value)).toISOString()
  if (kind !== 'money' || asset === undefined) return value
  const [whole = '', fraction = ''] = String(value).split('.')
  return moneyOf(BigInt(`${whole}${fraction.padEnd(decimalsOf(asset), '0')}`), asset)
}
