import { readFile, stat } from 'node:fs/promises'
import { parseEnv } from 'node:util'

const warningsMax = 10
const fileBytesMax = 1024 * 1024
/** Variables that are no settings and have a place in `.env`: for docker-compose.yml, Node, and the driver of PostgreSQL. */
const ofOthers = /^(POSTGRES_(PORT|PASSWORD)|EVENTSTORE_PORT|TZ|NODE_\w+|PG[A-Z]+)$/

export type SettingWarning = {
  readonly variable: string
  readonly file?: string
  /** The setting whose name it resembles. */
  readonly meant?: string
}

/** Resolves to the names that are probably meant for settings and are none, at most ten: each that lies in a file of
 *  settings, and those of the environment that are one slip away from a setting's name: a letter more, less, or another
 *  one, two in the wrong order, or small letters.
 *  @param files paths of files such as `.env`; those that cannot be read are left out. */
export const unknownNames = async (
  known: readonly string[],
  environment: Iterable<string>,
  files: readonly string[],
): Promise<SettingWarning[]> => {
  const warnings = new Map<string, SettingWarning>()
  for (const file of files)
    for (const variable of await namesIn(file))
      if (!known.includes(variable) && !ofOthers.test(variable))
        warnings.set(variable, { variable, file, ...meantBy(variable, known) })
  for (const variable of environment) {
    if (known.includes(variable) || ofOthers.test(variable) || warnings.has(variable)) continue
    const meant = meantBy(variable, known)
    if (meant !== undefined) warnings.set(variable, { variable, ...meant })
  }
  return [...warnings.values()].slice(0, warningsMax)
}

const namesIn = async (file: string): Promise<string[]> => {
  const found = await stat(file).catch(() => undefined)
  // Of a pipe Node has read all there was.
  if (!found?.isFile() || found.size > fileBytesMax) return []
  return Object.keys(parseEnv(await readFile(file, 'utf8').catch(() => '')))
}

const meantBy = (variable: string, known: readonly string[]): { readonly meant: string } | undefined => {
  const meant = known.find((name) => isOneSlipFrom(variable.toUpperCase(), name))
  return meant === undefined ? undefined : { meant }
}

const isOneSlipFrom = (text: string, name: string): boolean => {
  if (Math.abs(text.length - name.length) > 1) return false
  let same = 0
  while (same < name.length && text[same] === name[same]) same += 1
  const [textRest, nameRest] = [text.slice(same), name.slice(same)]
  const swapped = `${nameRest[1] ?? ''}${nameRest[0] ?? ''}${nameRest.slice(2)}`
  return (
    textRest === swapped ||
    textRest === nameRest.slice(1) ||
    textRest.slice(1) === nameRest ||
    textRest.slice(1) === nameRest.slice(1)
  )
}
