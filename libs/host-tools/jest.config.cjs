module.exports = require('../../jest.preset.cjs')('host-tools');
