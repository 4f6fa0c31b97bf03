/** Returns the text as one word of a POSIX shell. It must not contain NUL, which no word of a shell can. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
