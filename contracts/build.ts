/** Compiles the contracts and writes their typed bindings: `node contracts/build.ts`. The bindings are committed, so
 *  that running the platform needs no compiler. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { readHelp } from '../infra/system/arguments.ts'
import { printReport, reportOf } from '../infra/system/report.ts'
import { type Compiled, compile } from './compiler.ts'

const usage = `npm run contracts
  Compiles contracts/sol/ and writes the typed bindings into contracts/bindings/. It takes no options.`

const bindings = [
  { contract: 'UsdToken', file: 'usd-token.ts', variable: 'usdToken' },
  { contract: 'Marketplace', file: 'marketplace.ts', variable: 'marketplace' },
] as const

const render = ({ name, abi, bytecode }: Compiled, variable: string): string =>
  [
    `/** ${name}, made from contracts/sol/${name}.sol by contracts/build.ts. Do not edit. */`,
    `export const ${variable} = {`,
    `  abi: ${JSON.stringify(abi, undefined, 2).replaceAll('\n', '\n  ')},`,
    `  bytecode: '${bytecode}',`,
    '} as const',
    '',
  ].join('\n')

/** Compiles the contracts and returns their bindings by file name in `contracts/bindings/`. */
export const freshBindings = (): ReadonlyMap<string, string> => {
  const compiled = new Map(compile(bindings.map(({ contract }) => contract)).map((one) => [one.name, one]))
  return new Map(
    bindings.flatMap(({ contract, file, variable }) => {
      const one = compiled.get(contract)
      return one ? [[file, render(one, variable)] as const] : []
    }),
  )
}

/** The folder of the committed bindings. */
export const bindingsFolder = new URL('./bindings/', import.meta.url)

const writeBindings = (): void => {
  mkdirSync(bindingsFolder, { recursive: true })
  for (const [file, text] of freshBindings()) {
    writeFileSync(new URL(file, bindingsFolder), text)
    console.log(`contracts/bindings/${file}`)
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href)
  try {
    if (readHelp('no options')) console.log(usage)
    else writeBindings()
  } catch (error) {
    printReport(reportOf(error))
    process.exitCode = 1
  }
