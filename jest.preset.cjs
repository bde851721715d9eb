/**
 * One Jest set-up for every package. Sources are taken by the export condition `@watari/source`,
 * so tests need no build. Files named `*.int.spec.ts` start real programs (Postgres, Kafka, QEMU).
 */
module.exports = (displayName, { postgres = false } = {}) => ({
  displayName,
  // One Postgres server for the whole run; each spec makes a database of its own on it.
  ...(postgres && {
    globalSetup: `${__dirname}/libs/embedded-postgres/src/jest-global-setup.ts`,
    globalTeardown: `${__dirname}/libs/embedded-postgres/src/jest-global-teardown.ts`,
  }),
  testEnvironment: 'node',
  testEnvironmentOptions: {
    customExportConditions: ['@watari/source', 'node', 'node-addons', 'require', 'default'],
  },
  testMatch: ['<rootDir>/**/*.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/', '/out-tsc/'],
  modulePathIgnorePatterns: ['<rootDir>/dist'],
  moduleFileExtensions: ['ts', 'js', 'cjs', 'json'],
  // This package ships as ES module alone; Node 20 can require it, Jest cannot.
  transformIgnorePatterns: ['/node_modules/(?!@marcbachmann/)'],
  transform: {
    '^.+\\.ts$': ['ts-jest', { tsconfig: '<rootDir>/tsconfig.spec.json', diagnostics: false }],
    'node_modules/@marcbachmann/.+\\.js$': [
      'ts-jest',
      { tsconfig: `${__dirname}/tsconfig.esm-in-jest.json`, diagnostics: false },
    ],
  },
});
