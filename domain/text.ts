/** Returns whether PostgreSQL stores this text unchanged: it stores no NUL, and half a surrogate pair would come back
 *  as another character. */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0')

/** Returns the number with its noun, as in "1 row" and "2 rows". */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

/** Returns the text without the characters at its end that are this one. A pattern such as /0+$/ would begin again at
 *  each of them, which takes quadratic time. */
export const withoutTrailing = (text: string, character: string): string => {
  let length = text.length
  while (length > 0 && text[length - 1] === character) length -= 1
  return text.slice(0, length)
}

const shortCharactersMax = 1_000

/** Returns the beginning of a text, and how long it was: one that comes from outside may have megabytes. */
export const shortText = (text: string, charactersMax = shortCharactersMax): string =>
  text.length <= charactersMax ? text : `${text.slice(0, charactersMax).toWellFormed()}… (${text.length} characters)`
