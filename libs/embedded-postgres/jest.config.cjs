module.exports = require('../../jest.preset.cjs')('embedded-postgres');
