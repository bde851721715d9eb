module.exports = require('../../jest.preset.cjs')('migration-execution', { postgres: true });
