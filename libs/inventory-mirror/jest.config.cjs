module.exports = require('../../jest.preset.cjs')('inventory-mirror', { postgres: true });
