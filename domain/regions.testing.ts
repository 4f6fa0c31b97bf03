import { continentNames, countries } from './regions/countries.ts'

/** All countries that regions are found by, with their codes and names. */
export const areas = Object.entries(countries).flatMap(([continent, list]) =>
  list.split(',').map((line) => {
    const [code = '', three = '', ...rest] = line.trim().split(' ')
    return { code, three, continent, names: rest.join(' ').split('|') }
  }),
)
/** The codes and names of all continents. */
export const continents = Object.entries(continentNames).flatMap(([code, names]) => [code, ...names.split('|')])
