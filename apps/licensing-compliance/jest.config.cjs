module.exports = require('../../jest.preset.cjs')('licensing-compliance', { postgres: true });
