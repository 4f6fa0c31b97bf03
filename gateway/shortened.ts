import type { Details } from '../domain/errors.ts'
import { shortText } from '../domain/text.ts'

/** How many characters of a text an error repeats. Longer ones are cut, and say how long they were. */
export const echoCharactersMax = 1_000
const detailsMax = 20

/** Returns a text as an error shows it: what a client has sent may be a megabyte. */
export const shortened = (text: string): string => shortText(text, echoCharactersMax)

/** Returns the details of an error as they are shown. */
export const shortDetails = (details: Details): Details =>
  Object.fromEntries(
    Object.entries(details)
      .slice(0, detailsMax)
      .map(([name, value]) => [shortened(name), shortened(String(value))]),
  )
