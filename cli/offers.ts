import { AnswerError } from './answer-error.ts'
import type { Client } from './client.ts'

type Line = { readonly line: number }
type RefusedLine = Line & { readonly message: string; readonly details: readonly { name: string; value: string }[] }

/** The lines of an offer file by what became of them. `listed` are also those that were listed again or got the price of
 *  the file, `unchanged` those that were listed as they are. */
export type ImportedOffers = {
  readonly listed: readonly Line[]
  readonly unchanged: readonly Line[]
  readonly refused: readonly RefusedLine[]
  /** A query that asks for at least this position finds the offers. */
  readonly position: string
}

/** Registers the signed-in wallet as a provider with this name, unless it is one. Throws AnswerError. */
export const registerProvider = async (client: Client, name: string): Promise<void> => {
  await client.mutate('registerProvider', { name }, 'position').catch((error) => {
    if (!(error instanceof AnswerError) || error.code !== 'PROVIDER_ALREADY_REGISTERED') throw error
  })
}

/** Makes the offers of a file those of the signed-in wallet, also where their listing was withdrawn or has another price.
 *  Registers the wallet as a provider with this name unless it is one. The same file again changes nothing. Throws
 *  AnswerError.
 *  @param csv the text of the file, in the SkyPilot catalog format. */
export const importOffers = async (client: Client, providerName: string, csv: string): Promise<ImportedOffers> => {
  await registerProvider(client, providerName)
  const { changed, ...imported } = await client.mutate<ImportedOffers & { readonly changed: readonly Line[] }>(
    'importOffers',
    { csv, whole: true },
    'listed { line } changed { line } unchanged { line } refused { line message details { name value } } position',
  )
  return { ...imported, listed: [...imported.listed, ...changed] }
}
