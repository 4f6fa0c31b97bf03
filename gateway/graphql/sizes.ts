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
  JSON: 20_000,
  Position: 50,
  String: 100,
} as const satisfies Readonly<Record<string, number>> as Readonly<Record<string, number>> & {
  readonly default: number
  readonly String: number
}

/** The size of a text, given what the field above was asked for with `first` or `bytesMax`. */
type SizeOf = (asked: number) => number
const about =
  (bytes: number): SizeOf =>
  () =>
    bytes

const filesBytes = 262_144
const wordsBytes = 131_072
/** How many items a list has where nothing else is known. */
const itemsDefault = 10

/** The bytes of fields with longer texts; those of a list of texts together. */
export const textBytes: Readonly<Record<string, SizeOf>> = {
  'EnvironmentVariable.value': about(wordsBytes / itemsDefault),
  'Job.command': about(wordsBytes),
  'Job.message': about(1_000),
  'JobFile.content': about(filesBytes / itemsDefault),
  'JobLog.text': (asked) => asked,
  'ParkedStream.error': about(1_000),
  'ParkedTask.error': about(2_000),
  'Projection.failure': about(1_000),
}

/** How many items a list has that has no pages; `default` where nothing is named. */
export const listItems: Readonly<Record<string, number>> & { readonly default: number } = {
  default: itemsDefault,
  'ImportOffersSuccess.listed': 1_000,
  'ImportOffersSuccess.refused': 1_000,
  'ImportOffersSuccess.unchanged': 1_000,
  'MoneyTrace.steps': 1_000,
  'Projection.parked': 100,
  'Query.parkedTaskDecisions': 100,
  'Query.parkedTasks': 100,
  'Query.gpuModels': 1_000,
  // Of the schema itself, what an average type has.
  '__Schema.types': 130,
  '__Schema.directives': 6,
  '__Type.fields': 4,
  '__Type.enumValues': 2,
  '__Type.inputFields': 1,
  '__Type.interfaces': 1,
  '__Type.possibleTypes': 1,
  '__Field.args': 1,
  '__Directive.args': 2,
}

/** What reading a field costs besides the values that it returns, in values of fields. */
export const fieldCosts: Readonly<Record<string, number>> = {
  'Query.gpuModels': 1_000,
  'Query.ledgerSums': 10_000,
  'Query.moneyTrace': 10_000,
  'Query.parkedTaskDecisions': 1_000,
  'Query.parkedTasks': 1_000,
  'Query.projections': 2_000,
  'Job.log': 100,
}
