import { type Refusal, refuse } from '../../domain/errors.ts'
import { type Limit, shortened } from '../../domain/limits.ts'
import { regionQuestionOf } from '../../domain/regions.ts'

const keyCharactersMax = 200
/** The limit of an idempotency key. */
export const keyLimit: Limit = { charactersMin: 1, charactersMax: keyCharactersMax }

/** The limit of the name of a stream: its store takes no longer one. */
export const streamLimit: Limit = { charactersMax: 250 }

/** What a renter may write for a region. */
export const regionInput =
  'A country or a continent by name or code ("US", "Europe"), or whole words of the region ("us-east", "Texas").'

/** Refuses INPUT_INVALID for a region that asks for nothing, as blanks do. Without one, any region will do. */
export const refuseBlankRegion = (region: string | null | undefined): Refusal | undefined => {
  if (!region) return undefined
  const { areas, words } = regionQuestionOf(region)
  if (areas.length + words.length > 0) return undefined
  return refuse('INPUT_INVALID', { region: shortened(region), takes: regionInput })
}

/** Refuses INPUT_INVALID for an idempotency key that is empty or too long. */
export const refuseInvalidKey = (idempotencyKey: string): Refusal | undefined =>
  idempotencyKey.length >= 1 && idempotencyKey.length <= keyCharactersMax
    ? undefined
    : refuse('INPUT_INVALID', { idempotencyKey: `takes 1 to ${keyCharactersMax} characters` })

/** Returns true when one of the two was given, and not both. Null counts as absent. */
export const isExactlyOne = (a: unknown, b: unknown): boolean =>
  ((a ?? undefined) === undefined) !== ((b ?? undefined) === undefined)

/** Returns the fields without those that are null or undefined: GraphQL's null means absent here. */
export const withoutNulls = <Fields extends object>(
  fields: Fields,
): { [Name in keyof Fields]?: NonNullable<Fields[Name]> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined)) as never
