import { continentNames, countries } from './regions/countries.ts'
import { regionQuestionOf, regionTagsOf } from './regions.ts'

/** All countries that regions are found by, with their codes and names. */
export const areas = Object.entries(countries).flatMap(([continent, list]) =>
  list.split(',').map((line) => {
    const [code = '', three = '', ...rest] = line.trim().split(' ')
    return { code, three, continent, names: rest.join(' ').split('|') }
  }),
)
/** The codes and names of all continents. */
export const continents = Object.entries(continentNames).flatMap(([code, names]) => [code, ...names.split('|')])

/** Returns the function that decides whether a machine's region is what was asked for, as `regionQuestionOf` describes it:
 *  what the index of regions is held to. */
export const regionMatcher = (asked: string): ((region: string) => boolean) => {
  const { areas, words } = regionQuestionOf(asked)
  return (region) => {
    const tags = regionTagsOf(region)
    const first = tags.indexOf('')
    if (areas.some((area) => tags.slice(0, first).includes(area))) return true
    if (words.length === 0) return false
    const named = tags.slice(first + 1, -1)
    return named.some((_, start) => words.every((word, index) => named[start + index] === word))
  }
}
