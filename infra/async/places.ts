import { createSemaphore } from './semaphore.ts'

/** Makes a function that runs work for a key while at most so many run for the same key; others of that key wait, in
 *  their order. Resolves and throws as the work does. Callers bound how much waits.
 *
 *  @example
 *  const inPlace = createPlaces(2)
 *  const rows = await inPlace(address, () => ask(database)) */
export const createPlaces = (perKeyMax: number) => {
  const places = new Map<string, { readonly run: ReturnType<typeof createSemaphore>; users: number }>()
  return async <Result>(key: string, work: () => Promise<Result>): Promise<Result> => {
    const place = places.get(key) ?? { run: createSemaphore(perKeyMax), users: 0 }
    places.set(key, place)
    place.users += 1
    try {
      return await place.run(work)
    } finally {
      place.users -= 1
      if (place.users === 0) places.delete(key)
    }
  }
}
