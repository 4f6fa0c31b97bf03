import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { expect, test } from '@jest/globals'

const hardhat = createRequire(import.meta.url)
  .resolve('hardhat/package.json')
  .replace('package.json', 'dist/src/cli.js')

const runHardhat = async (...task: string[]): Promise<{ code: unknown; output: string }> => {
  const child = spawn(process.execPath, [hardhat, '--config', `${import.meta.dirname}/hardhat.config.ts`, ...task], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', FORCE_COLOR: '0', HARDHAT_DISABLE_TELEMETRY: 'true' },
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      output += String(chunk)
    })
  const [code] = await once(child, 'close')
  return { code, output }
}

test('every test in Solidity passes, fuzz and invariants included', async () => {
  const { code, output } = await runHardhat('test', 'solidity')
  // The whole output is compared, so that a failure shows it.
  expect({ code, output }).toEqual({ code: 0, output: expect.stringMatching(/\b14 passing\b/) })
  expect(output).toContain('invariant_TheBalanceIsTheSumOfDepositsAndGifts')
})
