import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { areas } from './regions.testing.ts'
import { regionMatcher } from './regions.ts'

const found = (asked: string, regions: readonly string[]) => regions.filter(regionMatcher(asked))

const written = {
  us: ['us-east-1', 'Texas, US, NA', ', US, NA', 'US, NA', 'kansascity-usa-1', 'eastus', 'southcentralus', 'us-east5'],
  australia: ['australia-east-1', 'australiaeast', 'Australia, AU, OC', 'Sydney-AU'],
  france: ['France, FR, EU', 'FR', 'francecentral', 'Paris, France'],
  germany: ['Berlin, DE, EU', 'Berlin, DE', 'germany-1', 'de_2'],
  elsewhere: [
    'Columbus-1',
    'belarus-1',
    'rio-de-janeiro-1',
    'Bács-Kiskun, HU, EU',
    'neuquen-ar-1',
    'me-central-1',
    'ap-southeast-2',
    'sa-east-1',
    'af-south-1',
    'East Coast (NY2)',
    'no-1',
    'norway_4_eu',
    'FIN-02',
    'a hall in the north',
  ],
}
const all = Object.values(written).flat()

describe('a country', () => {
  test.each([
    ...['US', 'us', ' usa ', 'United States', 'united-states of america'].map((asked) => [asked, written.us] as const),
    ...['AU', 'Australia', 'aus'].map((asked) => [asked, written.australia] as const),
    ...['FR', 'france', 'FRA'].map((asked) => [asked, written.france] as const),
    ...['DE', 'germany', 'Deutschland'].map((asked) => [asked, written.germany] as const),
    ['AR', ['neuquen-ar-1']],
    ['Finland', ['FIN-02']],
    ['NO', ['no-1', 'norway_4_eu']],
    ['Norway', ['no-1', 'norway_4_eu']],
    ['India', []],
    ['Montenegro', []],
    ['Saudi Arabia', []],
    ['Belarus', ['belarus-1']],
  ])('%s', (asked, regions) => expect(found(asked, all)).toEqual(regions))

  test('between commas the code is that of the country, elsewhere that of the continent', () => {
    expect(found('SA', ['Riyadh, SA, AS', 'sa-east-1'])).toEqual(['Riyadh, SA, AS', 'sa-east-1'])
    expect(found('Saudi Arabia', ['Riyadh, SA, AS', 'sa-east-1'])).toEqual(['Riyadh, SA, AS'])
    expect(found('South America', ['Riyadh, SA, AS', 'sa-east-1'])).toEqual(['sa-east-1'])
    expect(found('GE', ['Georgia, US, NA', 'Tbilisi, GE, AS'])).toEqual(['Tbilisi, GE, AS'])
    expect(found('Colombia', ['Denver, CO, US', 'Bogotá, CO, SA'])).toEqual(['Bogotá, CO, SA'])
  })
})

test('a continent has its countries', () => {
  const european = ['France, FR, EU', 'Oslo, Norway', 'FI', 'eu-north1', 'europe-west4', 'norway_4_eu', 'swedencentral']
  for (const asked of ['EU', 'Europe', 'eu '])
    expect(found(asked, [...european, 'Texas, US, NA', 'neuquen-ar-1', 'museum-1'])).toEqual(european)
  expect(found('NA', ['northamerica-northeast1', 'Quebec, CA, NA', ', US, NA', 'na-1', 'canal-1'])).toHaveLength(4)
})

test('any other text is found as whole words, in any case and without accents', () => {
  expect(found('texas', all)).toEqual(['Texas, US, NA'])
  expect(found('us-east', ['us-east-1', 'us-west-1', 'eastus', 'US East (2)'])).toEqual(['us-east-1', 'US East (2)'])
  expect(found('us-east-1', ['us-east-1', 'us-east-11', 'us-east'])).toEqual(['us-east-1'])
  expect(found('bacs', all)).toEqual(['Bács-Kiskun, HU, EU'])
  expect(found('bacs', ['Ba\u0301cs'])).toEqual(['Ba\u0301cs'])
  expect(found('me', ['me-central-1', 'some'])).toEqual(['me-central-1'])
  expect(found('ap', all)).toEqual(['ap-southeast-2'])
})

test('a part of a word, and what is no word, finds nothing', () => {
  for (const asked of ['u', 'ustral', 'eas', '%', '', ' ', '-', '.*', 'rance']) expect(found(asked, all)).toEqual([])
})

test('each country is found by each of its names, in each form of a region', () => {
  for (const { code, three, continent, names: spoken } of areas)
    for (const asked of [code, code.toLowerCase(), three, ...spoken, spoken[0]?.toUpperCase() ?? '']) {
      const regions = [
        ...spoken,
        ...spoken.map((name) => `city, ${name}`),
        `City, ${code}, ${continent}`,
        `x, ${three}`,
      ]
      expect([asked, ...found(asked, regions)]).toEqual([asked, ...regions])
    }
})

test('no country is found by a region of another', () => {
  const country = fc.constantFrom(...areas)
  fc.assert(
    fc.property(country, country, (one, other) => {
      if (one.code === other.code) return
      expect(found(one.names[0] ?? '', [`City, ${other.code}`, `City, ${other.three}`])).toEqual([])
    }),
    { numRuns: 2_000 },
  )
})

test('whatever the texts, it answers at once', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('a', ',', 'us', 'east', '-', 'É').map((part) => part.repeat(20_000)),
  )
  fc.assert(
    fc.property(text, text, (asked, region) => {
      const began = process.cpuUsage()
      expect(typeof regionMatcher(asked)(region)).toBe('boolean')
      expect(process.cpuUsage(began).user).toBeLessThan(1_000_000)
    }),
    { numRuns: 100 },
  )
})
