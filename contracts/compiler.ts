import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

/** One set of compiler settings for Hardhat's runs and for the committed bindings. */
export const compiler = {
  version: '0.8.37',
  settings: {
    optimizer: { enabled: true, runs: 200 },
    // The oldest version with transient storage, so that the contracts deploy on chains with older hard forks.
    evmVersion: 'cancun',
    // Without the metadata hash the bytecode does not depend on file names or comments.
    metadata: { appendCBOR: false, bytecodeHash: 'none' },
  },
} as const

/** Returns the path of the compiler that npm has installed, so that nothing is downloaded. */
export const compilerPath = (): string => require.resolve('solc/soljson.js')

export type Compiled = { readonly name: string; readonly abi: readonly unknown[]; readonly bytecode: `0x${string}` }

type SolidityOutput = {
  readonly errors?: readonly {
    readonly severity: string
    readonly formattedMessage: string
    readonly sourceLocation?: { readonly file: string }
  }[]
  readonly contracts?: Readonly<
    Record<string, Readonly<Record<string, { abi: readonly unknown[]; evm: { bytecode: { object: string } } }>>>
  >
}

/** Compiles contracts by name, each from `contracts/sol/<name>.sol`. Throws the compiler's messages for an error, and
 *  for a warning unless it is about a library. Takes a few seconds: the compiler is WebAssembly. */
export const compile = (names: readonly string[]): readonly Compiled[] => {
  const solc: { compile(input: string, callbacks: { import(path: string): { contents: string } }): string } =
    require('solc')
  const read = (path: string) =>
    readFileSync(path.startsWith('@') ? require.resolve(path) : new URL(path, import.meta.url), 'utf8')
  const input = {
    language: 'Solidity',
    sources: Object.fromEntries(names.map((name) => [`sol/${name}.sol`, { content: read(`sol/${name}.sol`) }])),
    settings: { ...compiler.settings, outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } } },
  }
  const output: SolidityOutput = JSON.parse(
    solc.compile(JSON.stringify(input), { import: (path) => ({ contents: read(path) }) }),
  )
  const complaints = (output.errors ?? []).filter(
    ({ severity, sourceLocation }) => severity === 'error' || !sourceLocation?.file.startsWith('@'),
  )
  if (complaints.length > 0) throw new Error(complaints.map((one) => one.formattedMessage).join('\n'))
  return names.map((name) => {
    const contract = output.contracts?.[`sol/${name}.sol`]?.[name]
    if (!contract) throw new Error(`sol/${name}.sol holds no contract ${name}`)
    return { name, abi: contract.abi, bytecode: `0x${contract.evm.bytecode.object}` }
  })
}
