module.exports = require('../../../jest.preset.cjs')('contracts-image-conversion');
