// What a rival program, a job or a web page asks of the embedded chain's port.
import { gasBombs } from '../gas-bombs.ts'
import { processesNaming } from '../processes.ts'
import { type Attack, attackerAddress, type Target, times, unless } from './attack.ts'
import { type HttpAnswer, send } from './http.ts'

const call = (target: Target, body: unknown, headers: Record<string, string> = {}) =>
  send({
    url: target.chainUrl,
    method: 'POST',
    // The server ends a connection whose body is too large, which no other request may be using.
    headers: { 'content-type': 'application/json', connection: 'close', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    from: attackerAddress,
  })

const rpc = (method: string, params: readonly unknown[]) => ({ jsonrpc: '2.0', id: 1, method, params })
const succeeded = ({ value }: HttpAnswer) => (value as { result?: unknown } | undefined)?.result !== undefined

/** Resolves to a complaint unless the chain answers others. */
const chainAnswers = async (target: Target): Promise<readonly string[]> => {
  const answer = await call(target, rpc('eth_blockNumber', [])).catch(() => undefined)
  return unless(answer !== undefined && succeeded(answer), 'the chain does not answer any more')
}

/** Resolves to the processes of the platform's chain. When one ends, it is started again under another number. */
const chainProcesses = async ({ dataDir }: Target): Promise<string> => {
  const found = (await processesNaming(dataDir)).filter(({ command }) => command.includes('embedded/program.ts'))
  return found.map(({ pid }) => pid).join(' ')
}

const account = '0x00000000000000000000000000000000000000aa'

const cheats: Attack = {
  name: 'cheats of the embedded chain',
  run: async (target) => {
    const methods: readonly (readonly [method: string, params: readonly unknown[]])[] = [
      ['hardhat_setBalance', [account, '0xffffffffffffffff']],
      ['hardhat_setCode', [account, '0x00']],
      ['hardhat_setStorageAt', [account, '0x0', `0x${'0'.repeat(63)}1`]],
      ['hardhat_impersonateAccount', [account]],
      ['hardhat_reset', []],
      ['hardhat_mine', ['0xffff']],
      ['evm_mine', []],
      ['evm_snapshot', []],
      ['evm_revert', ['0x1']],
      ['evm_increaseTime', [1_000_000]],
      ['anvil_setBalance', [account, '0xff']],
      ['debug_traceTransaction', [`0x${'0'.repeat(64)}`]],
      ['debug_traceCall', [{ to: account }, 'latest']],
      ['eth_newFilter', [{}]],
      ['eth_sign', [account, '0x00']],
      ['eth_call', [{ to: account }, 'latest', { [account]: { balance: '0xff' } }]],
    ]
    const answers = await times(methods.length, 4, (index) => call(target, rpc(...(methods[index] ?? ['', []]))))
    const allowed = methods.filter((_, index) => succeeded(answers[index] as HttpAnswer)).map(([method]) => method)
    const guessed = await call(target, rpc('hardhat_mine', ['0x1']), { authorization: 'Bearer guess' })
    return [
      ...unless(allowed.length === 0, `allowed to a stranger: ${allowed.join(', ')}`),
      ...unless(!succeeded(guessed), 'a guessed secret is the owner'),
      ...(await chainAnswers(target)),
    ]
  },
}

const bombs: Attack = {
  name: 'gas bombs, wide logs and large bodies at the embedded chain',
  run: async (target) => {
    const before = await chainProcesses(target)
    const programs = Object.values(gasBombs)
    const gas = '0x7fffffffffffffff'
    const bodies: readonly unknown[] = [
      ...programs.flatMap((data) => [
        rpc('eth_call', [{ data, gas }, 'latest']),
        rpc('eth_estimateGas', [{ data, gas }]),
      ]),
      rpc('eth_sendTransaction', [{ from: account, data: programs[0], gas }]),
      rpc('eth_getLogs', [{ fromBlock: '0x0', toBlock: '0xffffff', topics: [Array(5_000).fill(account)] }]),
      rpc('eth_feeHistory', ['0xffffff', 'latest', []]),
      Array.from({ length: 5_000 }, () => rpc('eth_blockNumber', [])),
      rpc('eth_sendRawTransaction', [`0x${'ff'.repeat(100_000)}`]),
      `[${'['.repeat(100_000)}`,
    ]
    const answers = await times(target.much(bodies.length * 8, bodies.length), 8, (index) =>
      call(target, bodies[index % bodies.length]).catch(() => undefined),
    )
    const failed = answers.filter((answer) => answer !== undefined && answer.status >= 500).length
    // Refused while it is sent, so the connection may break before the answer is read.
    await times(target.much(40, 4), 4, () => call(target, 'x'.repeat(900_000)).catch(() => undefined))
    const after = await chainProcesses(target)
    return [
      ...unless(before !== '' && before === after, `the process of the chain has ended: ${before}, then ${after}`),
      ...unless(failed === 0, `${failed} of ${answers.length} were failures of the chain`),
      ...(await chainAnswers(target)),
    ]
  },
}

const pages: Attack = {
  name: 'web pages of foreign origins at the embedded chain',
  run: async (target) => {
    const blockNumber = rpc('eth_blockNumber', [])
    const foreign: readonly Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'http://localhost:3000' },
      { host: 'evil.example' },
      { 'content-type': 'text/plain' },
    ]
    const answers = await times(foreign.length, 4, (index) => call(target, blockNumber, foreign[index]))
    const preflight = await send({
      url: target.chainUrl,
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
      from: attackerAddress,
    })
    const served = foreign.filter((_, index) => succeeded(answers[index] as HttpAnswer))
    return [
      ...unless(served.length === 0, `served: ${JSON.stringify(served)}`),
      ...unless(preflight.headers['access-control-allow-origin'] === undefined, 'the preflight admits every origin'),
      ...(await chainAnswers(target)),
    ]
  },
}

export const chainAttacks: readonly Attack[] = [cheats, bombs, pages]
