/** What is excused, by the whole complaint, each with the reason. */
export type Excuses = Readonly<Record<string, string>>

/** Returns the complaints without an excuse, and one for each excuse that is needed no more. */
export const excuse = (complaints: readonly string[], excuses: Excuses): string[] => [
  ...complaints.filter((complaint) => !Object.hasOwn(excuses, complaint)),
  ...Object.keys(excuses)
    .filter((excused) => !complaints.includes(excused))
    .map((excused) => `needs no excuse any more: ${excused}`),
]
