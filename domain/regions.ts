import { continentNames, countries } from './regions/countries.ts'

/** No region has a longer name; more of a text is not looked at. */
const regionCharactersMax = 300

/** Countries as `US`, continents as `-NA`. */
type Area = string
type Country = { readonly code: string; readonly continent: Area }

const joined = (text: string): string => wordsIn(text).join('')

/** Returns the words of a text in lower case and without accents: letters and digits apart, so that `east1` has two. */
const wordsIn = (text: string): readonly string[] =>
  text
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    // One character may have become eighteen, and a word must fit into an index.
    .slice(0, regionCharactersMax)
    .match(/\p{L}+|\p{N}+/gu) ?? []

const byCode = new Map<string, Country>()
/** Codes of two and three letters; in a sentence they may be words ("in", "no", "per"). */
const codes = new Map<string, Area>()
/** Names, written together: `unitedstates`. */
const names = new Map<string, Area[]>()
const nameOf = (name: string, area: Area): void => {
  names.set(joined(name), [...(names.get(joined(name)) ?? []), area])
}
for (const [continent, list] of Object.entries(countries))
  for (const line of list.split(',')) {
    const [two = '', three = '', ...rest] = line.trim().split(' ')
    byCode.set(two.toLowerCase(), { code: two, continent: `-${continent}` })
    codes.set(two.toLowerCase(), two)
    codes.set(three.toLowerCase(), two)
    for (const name of rest.join(' ').split('|')) nameOf(name, two)
  }
for (const [continent, list] of Object.entries(continentNames))
  for (const name of list.split('|')) nameOf(name, `-${continent}`)
const continents = new Map(Object.keys(continentNames).map((code) => [code.toLowerCase(), `-${code}`]))
/** As a word of a region, the code is that of the continent (`sa-east-1` is in Brazil), or of no country (`me-central-1`
 *  is in the Middle East). Between commas it is that of the country. */
for (const code of ['af', 'na', 'sa', 'me', 'as', 'an']) codes.delete(code)
const shortNames = new Set(['us', 'uk', 'usa', 'uae'])
const nameWordsMax = 4

/** What some clouds write together: `eastus`, `southcentralus`, `australiaeast`. */
const directions = ['north', 'south', 'east', 'west', 'central']
const pieces = new Set([...directions, 'us', ...names.keys()])
const pieceCharactersMax = Math.max(...[...pieces].map(({ length }) => length))

/** Returns the parts of a word that is made wholly of directions, countries and continents; else the word itself. */
const piecesOf = (word: string): readonly string[] => {
  if (pieces.has(word) || word.length > 2 * pieceCharactersMax) return [word]
  const found: (readonly string[] | undefined)[] = [[]]
  for (let end = 1; end <= word.length; end += 1)
    for (let start = Math.max(0, end - pieceCharactersMax); start < end && !found[end]; start += 1) {
      const before = found[start]
      if (before && pieces.has(word.slice(start, end))) found[end] = [...before, word.slice(start, end)]
    }
  const parts = found[word.length]
  return parts?.some((part) => !directions.includes(part)) ? parts : [word]
}

type Place = { readonly words: readonly string[]; readonly areas: ReadonlySet<Area> }

const withContinents = (areas: readonly Area[]): ReadonlySet<Area> =>
  new Set(areas.flatMap((area) => [area, byCode.get(area.toLowerCase())?.continent ?? area]))

/** Returns the country that a text is the name or the code of. */
const countryOf = (text: string): Area | undefined => {
  const written = joined(text)
  return byCode.get(written)?.code ?? codes.get(written) ?? names.get(written)?.find((area) => !area.startsWith('-'))
}

/** Returns where a machine is. `state, country, continent` and `city, country` say it outright. Elsewhere a country or
 *  continent counts by its name, and by its code where that is in capitals, or the first or last word of an identifier:
 *  `rio-de-janeiro` is not in Germany. */
const placeOf = (region: string): Place => {
  const text = region.slice(0, regionCharactersMax)
  const words = wordsIn(text).flatMap(piecesOf)
  const parts = text.split(',')
  const on = continents.get(joined(parts.at(-1) ?? ''))
  const isThird = on && (parts.length > 2 || byCode.has(joined(parts[0] ?? '')))
  const stated = parts.length > 1 ? countryOf(parts.at(isThird ? -2 : -1) ?? '') : undefined
  if (stated) return { words, areas: withContinents(on ? [stated, on] : [stated]) }
  const areas: Area[] = []
  const named = words.filter((word) => !directions.includes(word) && !/^\p{N}/u.test(word))
  const coded = new Set([
    ...shortNames,
    ...(text.match(/\b[A-Z]{2,3}\b/g)?.map((code) => code.toLowerCase()) ?? []),
    ...(/^[\w-]*$/.test(text) ? [named.at(0) ?? '', named.at(-1) ?? ''] : []),
  ])
  for (const [index, word] of words.entries()) {
    if (coded.has(word)) areas.push(...[continents.get(word) ?? codes.get(word)].filter((area) => area !== undefined))
    for (let count = 1; count <= nameWordsMax; count += 1)
      areas.push(...(names.get(words.slice(index, index + count).join('')) ?? []))
  }
  return { words, areas: withContinents(areas) }
}

/** Returns what a region is found by: the codes of its countries and continents (`US`, `-NA`), and then, between two
 *  empty texts, its words in their order. Words have no capitals, so none is taken for a code. */
export const regionTagsOf = (region: string): readonly string[] => {
  const { words, areas } = placeOf(region)
  return [...areas, '', ...words, '']
}

/** A question for regions: those that have one of these areas among their tags, and those that have these words one
 *  after the other. Without words the areas alone count; without both there is none. */
type RegionQuestion = { readonly areas: readonly string[]; readonly words: readonly string[] }

/** Returns the question that a text asks: for whole words, in any case (`us-east`, `Texas`), or for a country or
 *  continent by any of its names: `US` finds `Texas, US, NA` and `kansascity-usa-1`, and not `australia-east-1`; `EU`
 *  finds `Berlin, DE`. */
export const regionQuestionOf = (asked: string): RegionQuestion => {
  const words = wordsIn(asked.slice(0, regionCharactersMax)).flatMap(piecesOf)
  const written = words.join('')
  const areas = [
    byCode.get(written)?.code,
    codes.get(written),
    continents.get(written),
    ...(names.get(written) ?? []),
  ].filter((area) => area !== undefined)
  // A code is no word: "GE" is Georgia in Asia, and `in` stands in many a name.
  const isCode = codes.has(written) || continents.has(written)
  return { areas, words: isCode ? [] : words }
}

/** Returns the function that decides whether a machine's region is what was asked for: `regionQuestionOf` describes
 *  it. */
export const regionMatcher = (asked: string): ((region: string) => boolean) => {
  const { areas, words } = regionQuestionOf(asked)
  return (region) => {
    const place = placeOf(region)
    if (areas.some((area) => place.areas.has(area))) return true
    if (words.length === 0) return false
    return place.words.some((_, start) => words.every((word, index) => place.words[start + index] === word))
  }
}
