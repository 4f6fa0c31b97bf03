import { type Refusal, refuse } from '../../domain/errors.ts'
import { priceMax } from '../../domain/events.ts'
import { shortened } from '../../domain/limits.ts'
import {
  type Asset,
  amountCharactersMax,
  amountWords,
  assets,
  exceeds,
  formatAmount,
  formatMoney,
  type Money,
  money,
  parseAmount,
} from '../../domain/money.ts'
import { builder } from './builder.ts'
import { limited } from './input-limits.ts'

/** The type of all amounts of money. */
export const MoneyType = builder.objectRef<Money>('Money').implement({
  description:
    'A whole number of minor units of one asset. The name of the asset has its number of decimals: USDC/6 counts millionths.',
  fields: (t) => ({
    amount: t.string({
      description: 'Minor units, as decimal text, because JSON numbers lose precision.',
      resolve: ({ amount }) => String(amount),
    }),
    asset: t.exposeString('asset', {}),
    decimal: t.string({ description: 'The same in whole units, for display: 2.65', resolve: formatAmount }),
  }),
})

/** The options of an input that is a price. */
export const priceInput = {
  description: 'As decimal text: "3" or "2.65".',
  ...limited({ charactersMax: amountCharactersMax }),
}

/** Returns an amount of an asset as money; null for null. */
export const moneyOrNull = (amount: bigint | null, asset: Asset): Money | null =>
  amount === null ? null : money(amount, asset)

/** The asset of a price input that names none. */
export const assetDefault = 'USDC/6'

const isAsset = (text: string): text is Asset => (assets as readonly string[]).includes(text)

/** Parses a decimal text such as "2.65" as a price in an asset. Refuses INPUT_INVALID, with the name of the field. */
export const parsePrice = (
  field: string,
  text: string,
  asset: string | null | undefined = assetDefault,
): Money | Refusal => {
  const named = asset ?? assetDefault
  if (!isAsset(named)) return refuse('INPUT_INVALID', { asset: shortened(named), takes: assets.join(', ') })
  const price = parseAmount(text, named)
  if (!price) return refuse('INPUT_INVALID', { [field]: shortened(text), takes: amountWords(named) })
  const most = money(priceMax, named)
  if (!exceeds(price, most)) return price
  return refuse('INPUT_INVALID', { [field]: shortened(text), takes: `at most ${formatMoney(most)}` })
}
