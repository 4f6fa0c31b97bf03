/** For work on the contracts: `hardhat --config contracts/hardhat.config.ts test solidity`. The platform itself needs
 *  no config file and no compiler. */
import { defineConfig } from 'hardhat/config'
import { compiler, compilerPath } from './compiler.ts'

export default defineConfig({
  solidity: { ...compiler, path: compilerPath() },
  paths: {
    sources: 'contracts/sol',
    tests: 'contracts/sol',
    artifacts: 'node_modules/.cache/contracts/artifacts',
    cache: 'node_modules/.cache/contracts/cache',
  },
  test: { solidity: { fuzz: { runs: 256, seed: '0x5eed' }, invariant: { runs: 32, depth: 32, failOnRevert: true } } },
})
