/**
 * One Jest set-up for every package. Sources are taken by the export condition `@watari/source`,
 * so tests need no build. Files named `*.int.spec.ts` start real programs (Postgres, Kafka, QEMU).
 */
module.exports = (displayName) => ({
  displayName,
  testEnvironment: 'node',
  testEnvironmentOptions: {
    customExportConditions: ['@watari/source', 'node', 'node-addons', 'require', 'default'],
  },
  testMatch: ['<rootDir>/**/*.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/dist/', '/out-tsc/'],
  modulePathIgnorePatterns: ['<rootDir>/dist'],
  moduleFileExtensions: ['ts', 'js', 'cjs', 'json'],
  transform: { '^.+\\.ts$': ['ts-jest', { tsconfig: '<rootDir>/tsconfig.spec.json', diagnostics: false }] },
});
