module.exports = require('../../jest.preset.cjs')('disk-image');
