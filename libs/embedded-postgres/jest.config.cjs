module.exports = {
  ...require('../../jest.preset.cjs')('embedded-postgres'),
  globalSetup: '<rootDir>/src/jest-global-setup.ts',
  globalTeardown: '<rootDir>/src/jest-global-teardown.ts',
};
