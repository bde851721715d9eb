module.exports = require('../../jest.preset.cjs')('watari', { postgres: true });
