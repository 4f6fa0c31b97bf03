// How a program reads its command line: what it does not take is INPUT_INVALID, never the error of a library.
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { Failure } from '../../domain/errors.ts'

type Parsed<Options extends ParseArgsOptionsConfig> = ReturnType<
  typeof parseArgs<{ options: Options; allowPositionals: true }>
>

/** Returns the options of a command line as `values`, and its other words as `positionals`. Throws INPUT_INVALID for an
 *  option that is unknown, that lacks its value, or that has one and takes none. */
export const readArguments = <const Options extends ParseArgsOptionsConfig>(
  options: Options,
  args: readonly string[] = process.argv.slice(2),
): Parsed<Options> => {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    const { message } = error as Error
    // Further sentences of Node are about words that begin with a dash, which a wrong option is not meant to be.
    const [first] = message.split(/\. (?=To )|\.?\n/)
    throw new Failure('INPUT_INVALID', { arguments: first ?? '', takes: 'the options that --help lists' }, error)
  }
}

/** Returns whether `--help` was given to a program that takes nothing else. Throws INPUT_INVALID for other words.
 *  @param takes what the user may do instead. */
export const readHelp = (takes: string, args: readonly string[] = process.argv.slice(2)): boolean => {
  const others = args.filter((word) => word !== '--help')
  if (others.length > 0) throw new Failure('INPUT_INVALID', { arguments: others.join(' '), takes })
  return args.length > 0
}

/** Where the settings of the platform come from, for a user who gave them as options. */
export const takesSettings = 'no options: settings come from the environment, as in PORT=8080 npm start'
