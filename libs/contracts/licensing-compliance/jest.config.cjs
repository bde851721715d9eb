module.exports = require('../../../jest.preset.cjs')('contracts-licensing-compliance');
