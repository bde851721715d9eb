module.exports = require('../../jest.preset.cjs')('inventory', { postgres: true });
