// Imports an offer file through the API of a running platform: npm run import -- FILE [--whole] [--dry-run] [--url URL]
// [--key FILE] [--name NAME] [--json]
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { Failure } from '../domain/errors.ts'
import { withoutTrailing } from '../domain/text.ts'
import { devKeys } from '../infra/chain/dev-keys.ts'
import { createClient } from './client.ts'
import { type Imported, runImport } from './import/run.ts'
import { registerProvider } from './offers.ts'
import { readText } from './read-text.ts'
import { signIn } from './sign-in.ts'
import { oneFile, runTool } from './tool.ts'
import { embeddedChainId } from './wallet.ts'

const usage = `npm run import -- FILE [--whole] [--dry-run] [--url URL] [--key FILE] [--name NAME] [--json]
  FILE         offers in the SkyPilot catalog format (docs/offers.md); each line becomes a listing of the provider
  --whole      the file is all that the provider offers: prices are changed, and what is gone is withdrawn
  --dry-run    shows what would be done, and does nothing
  --url URL    a running platform; http://127.0.0.1:PORT when left out, with PORT 4000 unless set
  --key FILE   a file with the private key of the provider's wallet; on the embedded chain that of the tour when left out
  --name NAME  the name of a provider that is not registered yet
  --json       one JSON object per line; the last has the result
  The same file again changes nothing, so it may be run again after it was cut off.
  The exit code is 1 when the file has no line that is an offer, and else 0: what is refused is listed by line.`

const linesShownMax = 20
const providerName = 'Northern Lights Compute'

const walletOf = async (keyFile: string): Promise<PrivateKeyAccount> => {
  const key = (await readText(keyFile)).trim()
  if (!/^0x[0-9a-f]{64}$/i.test(key))
    throw new Failure('INPUT_INVALID', { key: keyFile, takes: '0x and 64 hex digits' })
  try {
    return privateKeyToAccount(key as `0x${string}`)
  } catch (error) {
    throw new Failure('INPUT_INVALID', { key: keyFile, reason: 'it is no private key' }, error)
  }
}

const inWords = (result: Imported, dryRun: boolean): string[] => {
  const { listed, changed, unchanged, refused, withoutGpu, withdrawn, refusedLines, warningLines, warnings } = result
  const more = (count: number) => (count > linesShownMax ? [`  … and ${count - linesShownMax} more`] : [])
  return [
    ...refusedLines.slice(0, linesShownMax).map(({ line, reason }) => `  line ${line} is refused: ${reason}`),
    ...more(refused),
    ...warningLines.slice(0, linesShownMax).map(({ line, warning }) => `  line ${line}: ${warning}`),
    ...more(warnings),
    [
      `${listed} listed`,
      `${changed} changed`,
      `${unchanged} unchanged`,
      ...(withdrawn === undefined ? [] : [`${withdrawn} withdrawn`]),
      `${refused} refused`,
      `${withoutGpu} without a GPU`,
    ].join(', ') + (dryRun ? ' (a dry run: nothing was done)' : ''),
  ]
}

if (import.meta.main)
  await runTool({
    usage,
    counted: 'lines',
    stopped: 'Stopped. What was sent before stays as it is; run it again to go on.',
    options: {
      whole: { type: 'boolean' },
      'dry-run': { type: 'boolean' },
      url: { type: 'string' },
      key: { type: 'string' },
      name: { type: 'string' },
    },
    open: async ({ options, files }, { config, shutdown }) => {
      const file = oneFile(files)
      const text = await readText(file)
      const wallet = options.key === undefined ? privateKeyToAccount(devKeys[2]) : await walletOf(options.key)
      const url = withoutTrailing(options.url ?? `http://127.0.0.1:${config.port}`, '/')
      const client = createClient(url)
      shutdown.add('client', () => client.close())
      const { chain } = await client.query<{ chain: { chainId: number } }>('{ chain { chainId } }')
      if (options.key === undefined && chain.chainId !== embeddedChainId)
        throw new Failure('INPUT_INVALID', { key: `takes the key of a wallet, for chain ${chain.chainId}` })
      await signIn(client, wallet)
      if (!options['dry-run']) await registerProvider(client, options.name ?? providerName)
      return { client, text }
    },
    run: async ({ client, text }, { options }, { signal, progress, printLine, answer }) => {
      const [whole, dryRun] = [options.whole ?? false, options['dry-run'] ?? false]
      const result = await runImport(client, text, { whole, dryRun, signal, onProgress: progress.report })
      progress.end()
      for (const line of inWords(result, dryRun)) printLine(line)
      answer({ dryRun, ...result })
      if (result.listed + result.changed + result.unchanged === 0) process.exitCode = 1
    },
  })
