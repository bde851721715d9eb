module.exports = require('../../../jest.preset.cjs')('contracts-support-matrix');
