module.exports = require('../../jest.preset.cjs')('process-identity');
