/** Three kinds of test beside the source: x.spec.ts is pure, x.int.spec.ts needs a server, x.e2e.spec.ts the whole platform.
 *  Pure ones run without any server; the other two share the servers that testing/servers/start.ts starts once per run. */
const shared = {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' } }],
  },
  modulePathIgnorePatterns: ['<rootDir>/.data', '<rootDir>/artifacts', '<rootDir>/cache'],
}

export default {
  cacheDirectory: 'node_modules/.cache/jest',
  testTimeout: 60_000,
  maxWorkers: 2,
  // What a spec file loads stays in the memory of its worker: up to 3 GiB at the end of a whole run.
  workerIdleMemoryLimit: '1GB',
  projects: [
    { ...shared, displayName: 'unit', testRegex: '/[^.]+\\.spec\\.ts$' },
    {
      ...shared,
      displayName: 'servers',
      testRegex: '\\.(int|e2e)\\.spec\\.ts$',
      globalSetup: '<rootDir>/testing/servers/start.ts',
      globalTeardown: '<rootDir>/testing/servers/stop.ts',
    },
  ],
}
