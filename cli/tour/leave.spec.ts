import { describe, expect, test } from '@jest/globals'
import type { Client } from '../client.ts'
import { endOnLeaving, type Rented } from './leave.ts'

const rented: Rented = { id: 'r1', endsAt: '2026-11-22T13:00:00Z' }
const never = new Promise<never>(() => undefined)
const msMax = 50

const leave = async (renting: Promise<Rented>, answer: () => Promise<unknown>) => {
  const [printed, asked]: [string[], unknown[]] = [[], []]
  const mutate = ((_: string, input: unknown) => {
    asked.push(input)
    return answer()
  }) as Client['mutate']
  await endOnLeaving({ mutate }, renting, { text: (text) => void printed.push(text) }, msMax)
  return { printed, asked }
}

describe('a tour that ends early', () => {
  test.each([
    ['is ended', async () => ({ position: null }), 'rental r1 is ended'],
    [
      'runs on where the platform is gone',
      () => Promise.reject(new Error('no platform')),
      'rental r1 could not be ended and runs on until 2026-11-22T13:00:00Z: no platform',
    ],
    [
      'runs on where the platform does not answer in time',
      () => never,
      'rental r1 could not be ended and runs on until 2026-11-22T13:00:00Z: no answer after 0.05 s',
    ],
  ])('says of its rental that it %s', async (_, answer, said) =>
    expect(await leave(Promise.resolve(rented), answer)).toEqual({ printed: [said], asked: [{ rental: 'r1' }] }),
  )

  test.each([
    ['was refused', Promise.reject<Rented>(new Error('LISTING_FULL'))],
    ['was never answered', never],
  ])('ends nothing where its rental %s', async (_, renting) =>
    expect(await leave(renting, async () => undefined)).toEqual({ printed: [], asked: [] }),
  )
})
