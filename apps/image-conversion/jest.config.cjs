module.exports = require('../../jest.preset.cjs')('image-conversion', { postgres: true });
