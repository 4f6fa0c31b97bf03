// Texts that make a careless pattern or algorithm take quadratic time, and how CPU time is compared over their lengths.
// For programs that run as a child of a spec: the CPU time is that of the whole process.

/** What the worst texts are repeated from. */
const units = [
  ...[
    '0',
    '9',
    'a',
    'F',
    ' ',
    '\t',
    '\n',
    '\r\n',
    '"',
    "'",
    ',',
    '/',
    '.',
    '-',
    '_',
    '\\',
    '{',
    '[',
    '(',
    ':',
    '=',
    '%',
  ],
  ...['\u0001', '\u2028', '\u6f22', '\u{1f5a5}'],
  ...['",', '"\n', 'a,', '0.', '\n"', '""', 'a.', '/*', "'SizeInMiB': ", '\n0x'],
]

/** What stands around them: a beginning that a pattern accepts, and an end that it does not. */
const frames: readonly (readonly [before: string, after: string])[] = [
  ['', ''],
  ['', '!'],
  ['1.', '1'],
  ['progress ', '\u2028'],
  ['https://', '/.'],
  ['2026-01-01T00:00:00.', 'z'],
]

/** Returns texts of about so many characters. */
export const worstTexts = (characters: number): readonly string[] =>
  units.flatMap((unit) =>
    frames.map(([before, after]) => before + unit.repeat(Math.ceil(characters / unit.length)) + after),
  )

/** One reader of text from outside, under the name that a complaint has. `isSlow`: it takes so long for each character
 *  that shorter texts show its growth. */
export type Reader = { readonly name: string; readonly read: (text: string) => unknown; readonly isSlow?: boolean }
export type Growth = { readonly name: string; readonly smallMs: number; readonly largeMs: number }

const factor = 8
const slowDivisor = 10
/** Linear time is 8 times as much; quadratic time 64 times. */
const growthMax = 20
/** What takes less is not told apart from the memory that the kernel gives for a longer text, whose cost grows faster. No
 *  quadratic time for texts of this size is so short. */
const smallMsMin = 2
/** As many as a busy machine needs for one that nothing disturbs; only growth that is not linear takes them all. */
const triesMax = 20

/** Returns whether the time grows no faster than the text. */
export const isLinear = ({ smallMs, largeMs }: Growth): boolean => largeMs / Math.max(smallMs, smallMsMin) < growthMax

const cpuMs = async (reader: Reader, texts: readonly string[]): Promise<number> => {
  const began = process.cpuUsage()
  for (const text of texts) {
    try {
      await reader.read(text)
    } catch {
      // A refusal is the usual answer.
    }
  }
  const { user, system } = process.cpuUsage(began)
  return (user + system) / 1000
}

/** Resolves to the CPU time of one reader for all worst texts of `characters` and of 8 times as many. Both are the best
 *  of twenty tries; it stops earlier when the growth is linear. */
export const growthOf = async (
  reader: Reader,
  characters: number,
  textsOf: (characters: number) => readonly string[] = worstTexts,
): Promise<Growth> => {
  let growth: Growth = { name: reader.name, smallMs: Number.POSITIVE_INFINITY, largeMs: Number.POSITIVE_INFINITY }
  const shortest = reader.isSlow ? characters / slowDivisor : characters
  const [small, large] = [textsOf(shortest), textsOf(shortest * factor)]
  for (let tries = 0; tries < triesMax; tries += 1) {
    const smallMs = Math.min(growth.smallMs, await cpuMs(reader, small))
    const largeMs = Math.min(growth.largeMs, await cpuMs(reader, large))
    growth = { name: reader.name, smallMs, largeMs }
    if (isLinear(growth)) break
  }
  return growth
}
