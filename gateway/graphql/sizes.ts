// What the fields of the schema may cost, for gateway/graphql/cost.ts. What is not named here costs as much
// as its type.

/** About how many bytes a value of a leaf type has as JSON; `default` is for enums. */
export const leafBytes = {
  default: 30,
  Boolean: 5,
  DateTime: 26,
  Float: 20,
  ID: 70,
  Int: 11,
  JSON: 10_000,
  Position: 50,
  String: 100,
} as const satisfies Readonly<Record<string, number>> as Readonly<Record<string, number>> & {
  readonly default: number
  readonly String: number
}

/** The size of a text, or of what is read for a field, given what was asked for with `first` or `bytesMax`: of the field
 *  above, for a field with fields of its own of itself. */
type SizeOf = (asked: number) => number
const about =
  (bytes: number): SizeOf =>
  () =>
    bytes

/** How many items a list has where nothing else is known. */
const itemsDefault = 10
// A few jobs reach the limits of the domain, which are four times as high; most have a few lines. What is really
// returned is counted as the answer is made.
const filesBytes = 65_536
const wordsBytes = 32_768
const eventBytes = 10_000

/** The bytes of fields with longer texts; those of a list of texts together. A field with fields of its own costs what
 *  is read for it, whichever of them are asked for. */
export const textBytes: Readonly<Record<string, SizeOf>> = {
  'EnvironmentVariable.value': about(wordsBytes / 2 / itemsDefault),
  'Job.command': about(wordsBytes),
  'Job.environment': about(wordsBytes / 2),
  'Job.files': about(filesBytes),
  'Job.log': (asked) => asked / 2,
  'Job.message': about(1_000),
  'JobFile.content': about(filesBytes / itemsDefault),
  'JobLog.text': (asked) => asked / 2,
  'ParkedStream.error': about(1_000),
  'ParkedTask.error': about(2_000),
  'Projection.failure': about(1_000),
  'Query.events': (asked) => asked * eventBytes,
}

/** How many items a list has that has no pages; `default` where nothing is named. */
export const listItems: Readonly<Record<string, number>> & { readonly default: number } = {
  default: itemsDefault,
  'Invoice.lines': 100,
  'ImportOffersSuccess.listed': 1_000,
  'ImportOffersSuccess.refused': 1_000,
  'ImportOffersSuccess.unchanged': 1_000,
  'MoneyTrace.funding': 100,
  'MoneyTrace.steps': 1_000,
  'MoneyUses.uses': 100,
  'Projection.parked': 100,
  'Query.parkedTaskDecisions': 100,
  'Query.parkedTasks': 100,
  'Query.gpuModels': 1_000,
}

/** What reading a field costs besides the values that it returns, in values of fields. */
export const fieldCosts: Readonly<Record<string, number>> = {
  'Query.gpuModels': 1_000,
  'Query.invoicePeriods': 1_000,
  'Query.ledgerSums': 10_000,
  'Query.moneyTrace': 10_000,
  'Query.moneyUses': 10_000,
  'Query.parkedTaskDecisions': 1_000,
  'Query.parkedTasks': 1_000,
  'Query.projections': 2_000,
  'Job.log': 100,
}
