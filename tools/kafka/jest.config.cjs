module.exports = require('../../jest.preset.cjs')('kafka-dev');
