module.exports = require('../../jest.preset.cjs')('support-matrix', { postgres: true });
