module.exports = require('../../jest.preset.cjs')('physical-server');
