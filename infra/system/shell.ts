/** Returns the text as one word of a POSIX shell. It must not contain NUL, which no word of a shell can. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** Where the programs of a machine are: the PATH of what runs without the environment of this program. */
export const machinePath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
